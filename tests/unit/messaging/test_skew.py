"""Our clock against the broker's: what differs for certain is told, what only took long is not."""

import logging

import pytest

from shared.messaging.kafka.skew import ClockCheck

NOW_US = 1_700_000_000_000_000
S_US = 1_000_000


@pytest.mark.parametrize(
    ("took_s", "broker_s", "ahead_s"),
    [
        (0.002, 0.001, 0.0),
        (0.002, -0.5, 0.5),  # the broker stamped before we had sent: ours is ahead
        (0.002, 0.502, -0.5),
        (30.0, 0.0, 0.0),  # an answer that took long, as of a process that slept, says nothing
        (30.0, 30.0, 0.0),
        (30.0, 36.0, -6.0),
        (0.0, -3600.0, 3600.0),
        (0.0, 86400.0, -86400.0),
    ],
)
def test_what_is_told_is_the_least_by_which_they_differ(took_s: float, broker_s: float, ahead_s: float) -> None:
    told: list[float] = []
    ClockCheck(told.append).answered(NOW_US, NOW_US + round(took_s * S_US), (NOW_US + round(broker_s * S_US)) // 1000)
    assert told == [pytest.approx(ahead_s, abs=0.0011)]


@pytest.mark.parametrize(("broker_s", "how"), [(-5.1, "5.1 s ahead of"), (5.1, "5.1 s behind"), (-3600, "3600.0 s ahead of")])
def test_more_than_five_seconds_are_a_warning_once_a_minute(caplog: pytest.LogCaptureFixture, broker_s: float, how: str) -> None:
    check = ClockCheck(lambda _: None)
    with caplog.at_level(logging.WARNING):
        for second in range(121):
            now_us = NOW_US + second * S_US
            check.answered(now_us, now_us, (now_us + round(broker_s * S_US)) // 1000)
    assert [how in line and "E_CLOCK_SKEW" in line for line in caplog.messages] == [True] * 3


def test_a_clock_that_was_set_right_is_warned_of_again_when_it_goes_wrong_again(caplog: pytest.LogCaptureFixture) -> None:
    check = ClockCheck(lambda _: None)
    with caplog.at_level(logging.WARNING):
        for broker_s in (6, 6, 0, 5, -5, 6, 6):
            check.answered(NOW_US, NOW_US, NOW_US // 1000 + broker_s * 1000)
    assert len(caplog.messages) == 2
