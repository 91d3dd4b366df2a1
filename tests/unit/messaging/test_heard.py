"""How long ago the broker was heard of, also where the machine slept, or was paused from outside and its clock set later."""

from dataclasses import dataclass

import pytest

from shared.kernel.clock import SystemClock
from shared.messaging.kafka.client import Heard, Moment


@dataclass
class TwoClocks:
    """Both of a machine's clocks, which a pause treats differently."""

    monotonic_s: float = 100.0
    wall_us: int = 1_700_000_000_000_000

    def monotonic(self) -> float:
        return self.monotonic_s

    def now_us(self) -> int:
        return self.wall_us


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s", "age_s"),
    [
        (0.0, 0.0, 0.0),
        (2.0, 2.0, 2.0),
        (10.0, 10.0, 10.0),  # SIGSTOP, or a suspended machine whose clock went on
        (0.0, 3600.0, 3600.0),  # a machine that was paused from outside, and told the time afterwards
        (5.0, -3600.0, 5.0),  # a clock that was set back says nothing
    ],
)
def test_the_clock_that_says_more_counts(monotonic_s: float, wall_s: float, age_s: float) -> None:
    clock = TwoClocks()
    heard = Heard(clock)
    clock.monotonic_s += monotonic_s
    clock.wall_us += round(wall_s * 1e6)
    assert heard.heartbeat_age() == pytest.approx(age_s)
    assert heard.fetched_age() == pytest.approx(age_s)
    heard.heartbeat = max(Moment(clock), heard.heartbeat)
    assert heard.heartbeat_age() == 0.0


def test_the_machines_own_clock_goes_on() -> None:
    clock = SystemClock()
    first, second = clock.monotonic(), clock.monotonic()
    assert second >= first
    assert Moment(clock).age(clock) >= 0.0
