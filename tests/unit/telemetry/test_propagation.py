"""One trace goes on from record to record, and costs nothing where it is not recorded."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.contracts.envelope import Envelope
from shared.messaging.log import Record
from shared.telemetry import names, propagation
from shared.telemetry.propagation import current_traceparent, processing, sending, span
from shared.telemetry.tracing import Tracing, sampled

TRACE = "0af7651916cd43dd8448eb211c80319c"
RECORDED = f"00-{TRACE}-b7ad6b7169203331-01"
UNRECORDED = f"00-{TRACE}-b7ad6b7169203331-00"


@contextmanager
def tracing(ratio: float) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    made = Tracing("planner", ratio, SimpleSpanProcessor(exporter))
    propagation.use(made)
    try:
        yield exporter
    finally:
        propagation.use(None)
        made.close()


def envelope(traceparent: str | None) -> Envelope:
    return Envelope("r1", "planner.plan.requested", 1, "executor/worker", "00.s", 0, correlation="c1", traceparent=traceparent)


def record() -> Record:
    return Record("planner.requests", 3, 41, 0, b"00.s", b"")


def ids(spans: tuple[ReadableSpan, ...]) -> dict[str, tuple[int, int]]:
    return {one.name: (one.context.trace_id, one.context.span_id) for one in spans if one.context}


def test_a_hop_continues_the_trace_of_the_record_and_hands_its_own_span_on() -> None:
    with tracing(0) as exporter, processing(record(), envelope(RECORDED), "planner"), sending("planner.plans", 3, "00.s") as sent:
        pass
    sent_span, process_span = exporter.get_finished_spans()
    assert (process_span.name, process_span.kind) == ("process planner.requests", SpanKind.CONSUMER)
    assert (sent_span.name, sent_span.kind) == ("send planner.plans", SpanKind.PRODUCER)
    assert process_span.parent is not None
    assert process_span.parent.span_id == 0xB7AD6B7169203331
    assert process_span.context is not None
    assert sent_span.context is not None
    assert sent_span.parent is not None
    assert sent_span.parent.span_id == process_span.context.span_id
    assert sent_span.context.trace_id == process_span.context.trace_id == int(TRACE, 16)
    assert sent == f"00-{TRACE}-{sent_span.context.span_id:016x}-{sent_span.context.trace_flags:02x}"
    assert sampled(sent)


def test_the_attributes_are_those_of_the_messaging_conventions() -> None:
    with tracing(0) as exporter, processing(record(), envelope(RECORDED), "planner"), sending("planner.plans", 3, "00.s"):
        pass
    sent, processed = (dict(one.attributes or {}) for one in exporter.get_finished_spans())
    assert processed == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "planner.requests",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 41,
        "messaging.consumer.group.name": "planner",
        "messaging.kafka.message.key": "00.s",
        "messaging.message.id": "r1",
        "messaging.message.conversation_id": "c1",
        "sluice.message.type": "planner.plan.requested",
    }
    assert sent["messaging.operation.type"] == "send"


def test_a_trace_that_its_beginner_does_not_record_is_passed_on_as_it_came() -> None:
    with tracing(1) as exporter, processing(record(), envelope(UNRECORDED), "planner"), sending("planner.plans", 3, "00.s") as sent:
        assert current_traceparent() == UNRECORDED
    assert sent == UNRECORDED
    assert exporter.get_finished_spans() == ()


def test_without_telemetry_the_context_is_passed_on_and_none_is_made() -> None:
    with processing(record(), envelope(RECORDED), "planner"), sending("planner.plans", 3, "00.s") as sent:
        assert sent == RECORDED
    with span("root", parent=None) as made:
        assert made is None


def test_a_new_trace_is_recorded_by_the_ratio_and_its_id_is_the_one_drawn() -> None:
    with tracing(1) as exporter:
        with span("first", parent=None) as first:
            pass
        with span("second", parent=None) as second:
            pass
    recorded = ids(exporter.get_finished_spans())
    assert first is not None
    assert second is not None
    assert recorded["first"][0] == int(first[3:35], 16)
    assert recorded["second"][0] == int(second[3:35], 16)
    assert recorded["first"][0] != recorded["second"][0]
    assert all(one.parent is None for one in exporter.get_finished_spans())
    with tracing(0) as none, span("root", parent=None) as root:
        assert root is not None
        assert not sampled(root)
    assert none.get_finished_spans() == ()


def test_about_half_of_the_new_traces_are_recorded_at_a_ratio_of_a_half() -> None:
    with tracing(0.5) as exporter:
        for _ in range(400):
            with span("root", parent=None):
                pass
    assert 120 < len(exporter.get_finished_spans()) < 280


def test_the_current_context_ends_with_the_span_also_when_work_fails() -> None:
    def failing() -> None:
        with span("hop", parent=RECORDED):
            assert current_traceparent() not in (None, RECORDED)
            raise ValueError("secret words of a visitor")

    with tracing(0) as exporter, pytest.raises(ValueError, match="secret"):
        failing()
    assert current_traceparent() is None
    assert not api.get_current_span().get_span_context().is_valid
    (failed,) = exporter.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes == {names.ERROR_TYPE: "ValueError"}
    assert failed.events == ()
    assert "secret" not in failed.to_json()


def test_what_is_noted_later_is_on_the_span() -> None:
    with tracing(0) as exporter:
        hop = span("hop", parent=RECORDED)
        with hop:
            hop.note(names.STEP_OUTCOME, "accepted")
        quiet = span("hop", parent=UNRECORDED)
        with quiet:
            quiet.note(names.STEP_OUTCOME, "accepted")
    (one,) = exporter.get_finished_spans()
    assert one.attributes == {names.STEP_OUTCOME: "accepted"}
