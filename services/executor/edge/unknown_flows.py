"""Who guesses at flows: an address that asked for many that do not exist gets no further guess.

A guess costs a hop to the planner and a 404 tells that there is no such flow. So an address that has had its share is
asked to wait a moment, before anything is asked. Flows that somebody was shown or sent to here go on for everybody, also for
those who share the guesser's address, and so does a flow that another edge has shown to this very browser.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from shared.kernel.clock import Clock
from shared.web.errors import Refusal

MISSES: Final = 100
WINDOW_S: Final = 20.0
_ADDRESSES: Final = 4096
_FLOWS: Final = 1024


@dataclass(slots=True)
class _Window:
    began: float
    misses: int = 0


class UnknownFlows:
    """Counts by address (/64 for IPv6) what was not found, in bounded memory, for one edge."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def check(self, address: str, flow: str) -> None:
        """`Refusal` 429 for a flow that nobody was shown here yet, from an address that has guessed enough."""
        if not self._windows or flow in self._known:
            return
        window = self._windows.get(_network(address))
        if window is None or window.misses < MISSES:
            return
        left = WINDOW_S - (self._clock.monotonic() - window.began)
        if left > 0:
            raise Refusal(429, "flow_guessing", size=len(flow), headers={"Retry-After": str(int(left) + 1)})

    def found(self, flow: str) -> None:
        """There is such a flow."""
        self._known[flow] = None
        self._known.move_to_end(flow)
        if len(self._known) > _FLOWS:
            self._known.popitem(last=False)

    def missed(self, address: str, flow: str) -> None:
        """There is none."""
        self._known.pop(flow, None)
        network, now = _network(address), self._clock.monotonic()
        window = self._windows.get(network)
        if window is None or now - window.began >= WINDOW_S:
            window = self._windows[network] = _Window(now)
        window.misses += 1
        self._windows.move_to_end(network)
        if len(self._windows) > _ADDRESSES:
            self._windows.popitem(last=False)


def _network(address: str) -> str:
    """What one guesser is taken to have: an IPv4 address, or an IPv6 /64."""
    parsed = ip_address(address) if address else None
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address
