"""A client's repeated complaint is told once in a while, with how often it came."""

import logging
from pathlib import Path
from typing import Final

import aiokafka
import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest_v1

from shared.messaging.kafka import logging as kafka_logging
from shared.messaging.kafka.logging import EVERY_S, LOGGERS, OnceInAWhile

UNUSED: Final = {
    f"aiokafka.coordinator.assignors.{name}" for name in ("abstract", "roundrobin", "sticky.partition_movements", "sticky.sticky_assignor")
}


def complaint(at: float, text: str = "Unable connect to %s", level: int = logging.ERROR) -> logging.LogRecord:
    record = logging.LogRecord("aiokafka", level, "f", 1, text, ("a",), None)
    record.created = at
    return record


def test_the_same_complaint_is_told_once_in_a_while_with_its_number() -> None:
    filter_ = OnceInAWhile()
    assert filter_.filter(complaint(0.0))
    assert not any(filter_.filter(complaint(n / 100)) for n in range(1, 500))
    later = complaint(EVERY_S)
    assert filter_.filter(later)
    assert later.__dict__["repeated"] == 499
    assert not filter_.filter(complaint(EVERY_S + 1))


def test_other_words_and_what_is_no_complaint_pass() -> None:
    filter_ = OnceInAWhile()
    assert filter_.filter(complaint(0.0))
    assert filter_.filter(complaint(0.0, "Heartbeat failed for %s"))
    assert all(filter_.filter(complaint(0.0, level=logging.INFO)) for _ in range(3))


def test_all_of_aiokafkas_loggers_that_complain_have_one(caplog: pytest.LogCaptureFixture) -> None:
    kafka_logging.install()
    kafka_logging.install()
    root = Path(aiokafka.__file__).parent
    modules = {path: ".".join(("aiokafka", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.py")}
    own = {name for path, name in modules.items() if "getLogger(__name__)" in path.read_text()}
    assert own - UNUSED <= set(LOGGERS)
    for name in LOGGERS:
        assert sum(isinstance(one, OnceInAWhile) for one in logging.getLogger(name).filters) == 1


def test_requests_with_passwords_and_records_in_them_are_not_told_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    kafka_logging.install()
    caplog.set_level(logging.DEBUG)
    connection = logging.getLogger("aiokafka.conn")
    connection.debug("Request to %s:%d %d: %s", "broker", 9092, 1, SaslAuthenticateRequest_v1(b"\0sluice\0hunter2"))
    connection.info("Authenticated as %s via %s", "sluice", "PLAIN")
    assert caplog.messages == ["Authenticated as sluice via PLAIN"]
