"""Security records: that something hostile or broken came, of which class and how large, never what it was.

A flood of one class must not fill the log: beyond a few in ten seconds they are only counted, and the next line says
how many were left out.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from shared.kernel.clock import Clock

WINDOW_S: Final = 10.0
PER_WINDOW: Final = 20
MINUTE_S: Final = 60.0


class Write(Protocol):
    """Writes one line (`shared.telemetry.logs.security`)."""

    def __call__(self, what: str, size: int = 0, facts: Mapping[str, str | int] | None = None) -> None: ...  # noqa: D102


@dataclass(slots=True)
class _Window:
    started: float = 0.0
    written: int = 0
    left_out: int = 0
    total: int = 0


class SecurityLog:
    """The security records of one process, limited in rate and counted by class."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._windows: dict[str, _Window] = defaultdict(_Window)

    def record(self, kind: str, size: int = 0, facts: Mapping[str, str | int] | None = None, *, standing: bool = False) -> None:
        """Write a record of this class, or count it if there were too many. `kind` is one of our own words. `standing`: every
        request shows it until somebody mends it, so it is written once a minute."""
        most, in_s = (1, MINUTE_S) if standing else (PER_WINDOW, WINDOW_S)
        window = self._windows[kind]
        window.total += 1
        now = self._clock.monotonic()
        if now - window.started >= in_s:
            window.started, window.written = now, 0
        if window.written >= most:
            window.left_out += 1
            return
        window.written += 1
        left_out, window.left_out = window.left_out, 0
        self._write(kind, size, {**(facts or {}), **({"left_out": left_out} if left_out else {})})

    def count(self, kind: str) -> int:
        """How many there were of this class, written or not."""
        return self._windows[kind].total if kind in self._windows else 0
