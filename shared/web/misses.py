"""How often each network missed lately, in bounded memory: whoever guesses is asked to wait before anything is asked for them."""

from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

from shared.kernel.clock import Clock
from shared.kernel.networks import network_of

NETWORKS: Final = 4096
"""Of more at a time, those that were heard of longest ago start afresh."""


@dataclass(slots=True)
class _Window:
    began: float
    misses: int = 0


class Misses:
    """Counts by network (`network_of`), in windows of `window_s` that begin with the first; `share` of them are free."""

    def __init__(self, clock: Clock, share: int, window_s: float) -> None:
        self._clock = clock
        self._share = share
        self._window_s = window_s
        self._windows: TTLCache[str, _Window] = TTLCache(NETWORKS, window_s, timer=clock.monotonic)

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, address: str) -> None:
        """One more."""
        network = network_of(address)
        window = self._windows.get(network)
        if window is None:
            window = self._windows[network] = _Window(self._clock.monotonic())
        window.misses += 1

    def wait_s(self, address: str) -> int:
        """Whole seconds until this address may miss again; 0 if it may now."""
        window = self._windows.get(network_of(address)) if self._windows else None
        if window is None or window.misses < self._share:
            return 0
        return int(self._window_s - (self._clock.monotonic() - window.began)) + 1
