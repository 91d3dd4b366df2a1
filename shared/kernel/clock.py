"""Time as a thing that is passed in, so that decisions can be replayed and tests need not wait."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Where code that decides takes its time from."""

    def now_us(self) -> int:
        """Wall-clock time in microseconds since 1970-01-01 UTC; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back, and goes on while the machine sleeps; only differences mean anything."""
        ...


_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux's other one stands still in a suspended machine


class SystemClock:
    """The machine's own clocks: the only place that reads them."""

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.clock_gettime(_SINCE_BOOT)


@dataclass(slots=True)
class FixedClock:
    """A clock that a test or a replay sets by hand; both readings come from the same value."""

    us: int = 1_700_000_000_000_000

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return self.us

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.us / 1e6

    def advance(self, seconds: float) -> None:
        """Move both readings on by so many seconds."""
        self.us += round(seconds * 1e6)
