"""Security records: few lines, all counted."""

from collections.abc import Mapping

from shared.kernel.clock import FixedClock
from shared.web.security_log import PER_WINDOW, SecurityLog


def test_a_flood_is_counted_and_told_later() -> None:
    lines: list[tuple[str, int, Mapping[str, str | int] | None]] = []
    clock = FixedClock()
    log = SecurityLog(lambda what, size=0, facts=None: lines.append((what, size, facts)), clock)
    for _ in range(100):
        log.record("csrf", 5)
    log.record("accept", 3)
    assert len(lines) == PER_WINDOW + 1
    assert lines[-1] == ("accept", 3, {})
    clock.advance(10)
    log.record("csrf", 5)
    assert lines[-1] == ("csrf", 5, {"left_out": 100 - PER_WINDOW})
    assert (log.count("csrf"), log.count("accept"), log.count("never")) == (101, 1, 0)


def test_what_every_request_shows_is_written_once_a_minute_with_how_often_it_was_seen() -> None:
    lines: list[tuple[str, int, Mapping[str, str | int] | None]] = []
    clock = FixedClock()
    log = SecurityLog(lambda what, size=0, facts=None: lines.append((what, size, facts)), clock)
    for _ in range(100):
        log.record("forwarded_for", 0, {"connection": "10.0.0.1"}, standing=True)
        clock.advance(0.5)
    assert lines == [("forwarded_for", 0, {"connection": "10.0.0.1"})]
    clock.advance(10)
    log.record("forwarded_for", 0, {"connection": "10.0.0.1"}, standing=True)
    assert lines[1:] == [("forwarded_for", 0, {"connection": "10.0.0.1", "left_out": 99})]
