"""Who guesses at bearer tokens: an address that sent as many wrong ones as it may send wrong passwords gets 429 for the next.

A good token is good from every address, whoever else guesses there: nobody's program is shut out by a neighbour. What keeps a
token from being guessed is its length (60 random characters; one that an administrator chooses has 32 at least); the limit
keeps guesses from being free, and has them told. Counted by one process, in bounded memory.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from shared.kernel.clock import Clock
from shared.web.errors import Refusal

WINDOW_S: Final = 3600.0
PER_ADDRESS: Final = 1000
_ADDRESSES: Final = 4096


@dataclass(slots=True)
class _Window:
    began: float
    misses: int = 0


class TokenGuesses:
    """Wrong tokens by address (/64 for IPv6), within an hour that begins with the first."""

    def __init__(self, clock: Clock, limit: int = PER_ADDRESS) -> None:
        self._clock = clock
        self._limit = limit
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def missed(self, address: str) -> None:
        """Count a wrong one; `Refusal` 429 if the address has had its share."""
        network, now = _network(address), self._clock.monotonic()
        window = self._windows.get(network)
        if window is None or now - window.began >= WINDOW_S:
            window = self._windows[network] = _Window(now)
        self._windows.move_to_end(network)
        if len(self._windows) > _ADDRESSES:
            self._windows.popitem(last=False)
        if window.misses >= self._limit:
            raise Refusal(429, "token_guessing", headers={"Retry-After": str(int(WINDOW_S - (now - window.began)) + 1)})
        window.misses += 1


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)
