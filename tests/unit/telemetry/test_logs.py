"""Log lines are one JSON object each, name their trace and keep secrets out."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.people import GroupFacts
from shared.kernel.errors import Unavailable
from shared.telemetry import logs
from shared.telemetry.propagation import span

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
log = logging.getLogger("shared.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    out = io.StringIO()
    level = logging.getLogger().level
    handler = logs.install("planner", "INFO", out)
    yield out
    logs.remove(handler)
    logging.getLogger().setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_what_and_in_which_trace(stream: io.StringIO) -> None:
    with span("work", parent=CONTEXT):
        log.info("took %d records", 3, extra={"topic": "planner.requests", "offsets": (1, 2), "ratio": 0.5})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO", "logger": "shared.test", "service": "planner", "message": "took 3 records",
        "trace_id": CONTEXT[3:35], "span_id": CONTEXT[36:52],
        "topic": "planner.requests", "offsets": [1, 2], "ratio": 0.5,
    }  # fmt: skip


def test_what_visitors_send_cannot_begin_a_new_line(stream: io.StringIO) -> None:
    log.info("refused %s", 'a\n{"level":"ERROR"}\r\u2028\x1b[31m', extra={"host": "x\ny"})
    assert len(stream.getvalue().splitlines()) == 1
    assert lines(stream)[0]["host"] == "x\ny"


def test_long_texts_are_cut(stream: io.StringIO) -> None:
    log.info("x" * 100_000, extra={"host": "y" * 100_000})
    assert len(stream.getvalue()) < 3 * logs.MAX_TEXT


def test_numbers_that_json_does_not_know_do_not_break_the_line(stream: io.StringIO) -> None:
    log.info("odd", extra={"wait": float("inf"), "raw": b"\xff", "inner": {1: object}})
    assert lines(stream)[0]["wait"] == "inf"


def test_an_exception_is_told_by_type_and_place_without_the_text_of_validators(stream: io.StringIO) -> None:
    try:
        GroupFacts.model_validate({"pk": 7, "name": "a", "password": "hunter2"})
    except ValidationError:
        log.exception("failed")
    told = lines(stream)[0]["exception"]
    assert told["type"] == "ValidationError"
    assert "test_logs.py" in told["frames"][0]
    assert "hunter2" not in stream.getvalue()


def test_an_error_of_ours_keeps_code_and_text(stream: io.StringIO) -> None:
    try:
        raise Unavailable("the log is away") from OSError("refused")
    except Unavailable:
        log.exception("failed")
    told = lines(stream)[0]["exception"]
    assert (told["code"], told["text"], told["cause"]) == ("E_UNAVAILABLE", "the log is away", "OSError")


def test_a_security_record_has_class_size_and_trace_and_no_input(stream: io.StringIO) -> None:
    with span("work", parent=CONTEXT):
        logs.security("csrf", 12, {"route": "flow"})
    (line,) = lines(stream)
    assert (line["logger"], line["class"], line["size"], line["route"]) == ("security.csrf", "csrf", 12, "flow")
    assert line["trace_id"] == CONTEXT[3:35]


def test_removed_means_silent(stream: io.StringIO) -> None:
    other = io.StringIO()
    handler = logs.install("policy", "INFO", other)
    logs.remove(handler)
    log.info("said")
    assert other.getvalue() == ""
    assert len(lines(stream)) == 1
