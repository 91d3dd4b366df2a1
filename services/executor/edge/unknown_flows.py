"""Who guesses at flows: an address that asked for many that do not exist gets no further guess.

A guess costs a hop to the planner and a 404 tells that there is no such flow. So an address that has had its share is
asked to wait a moment, before anything is asked. Flows that somebody was shown or sent to here go on for everybody, also for
those who share the guesser's address, and so does a flow that another edge has shown to this very browser.
"""

from typing import Final

from cachetools import LRUCache

from shared.kernel.clock import Clock
from shared.web.errors import Refusal
from shared.web.misses import Misses

MISSES: Final = 100
WINDOW_S: Final = 20.0
FLOWS: Final = 1024


class UnknownFlows:
    """Counts by network what was not found, in bounded memory, for one edge."""

    def __init__(self, clock: Clock) -> None:
        self._misses = Misses(clock, MISSES, WINDOW_S)
        self._known: LRUCache[str, bool] = LRUCache(FLOWS)

    def check(self, address: str, flow: str) -> None:
        """`Refusal` 429 for a flow that nobody was shown here yet, from an address that has guessed enough."""
        if flow not in self._known and (left_s := self._misses.wait_s(address)):
            raise Refusal(429, "flow_guessing", size=len(flow), headers={"Retry-After": str(left_s)})

    def found(self, flow: str) -> None:
        """There is such a flow."""
        self._known[flow] = True

    def missed(self, address: str, flow: str) -> None:
        """There is none."""
        self._known.pop(flow, None)
        self._misses.add(address)
