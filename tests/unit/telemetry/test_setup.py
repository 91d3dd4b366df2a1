"""What one process sets up, seen from outside: `/metrics`, spans as log lines."""

import io
import json
import logging
import threading

import aiohttp
import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from shared.telemetry import tracing
from shared.telemetry.metrics import count_dead_letter, metrics
from shared.telemetry.propagation import span
from shared.telemetry.setup import setup


def settings(metrics_port: int | None = 0, trace_ratio: float = 0) -> CommonSettings:
    return CommonSettings(metrics_listen=None if metrics_port is None else Address("127.0.0.1", metrics_port), trace_ratio=trace_ratio)


async def scraped(port: int) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return await answer.text()


async def test_the_five_metrics_are_on_the_prometheus_endpoint() -> None:
    telemetry = setup("executor", settings(), stream=io.StringIO())
    assert telemetry.endpoint is not None
    await telemetry.start()
    try:
        metrics().step("password", "accepted", 0.012)
        metrics().queue_wait("executor.steps", -0.5)
        metrics().hash_wait(0.003)
        count_dead_letter("executor.steps", "E_EVT_SYNTAX")
        metrics().lag("executor", "executor.steps", 7, 42)
        metrics().lag("executor", "executor.steps", 8, 1)
        metrics().forget_lag("executor", {8})
        text = await scraped(telemetry.endpoint.port)
    finally:
        await telemetry.stop()
    assert 'sluice_step_duration_seconds_bucket{le="0.015",sluice_stage_type="password",sluice_step_outcome="accepted"} 1.0' in text
    assert 'sluice_queue_wait_seconds_sum{messaging_destination_name="executor.steps"} 0.0' in text
    assert "sluice_hash_wait_seconds_count 1.0" in text
    assert 'sluice_dead_letters_total{messaging_destination_name="executor.steps",sluice_dead_letter_reason="E_EVT_SYNTAX"} 1.0' in text
    assert 'messaging_destination_partition_id="7"' in text
    assert 'messaging_destination_partition_id="8"' not in text
    assert 'service_name="executor"' in text
    assert "process_resident_memory_bytes" in text


async def test_after_stop_nothing_listens_and_recording_is_harmless() -> None:
    telemetry = setup("executor", settings(), stream=io.StringIO())
    assert telemetry.endpoint is not None
    await telemetry.start()
    port = telemetry.endpoint.port
    await telemetry.stop()
    metrics().hash_wait(1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await scraped(port)


async def test_a_taken_port_is_an_error_at_start() -> None:
    first = setup("executor", settings(), stream=io.StringIO())
    await first.start()
    assert first.endpoint is not None
    second = setup("executor", settings(first.endpoint.port), stream=io.StringIO())
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
    await first.stop()


async def test_spans_become_log_lines() -> None:
    out = io.StringIO()
    telemetry = setup("planner", settings(None, trace_ratio=1), stream=out)
    await telemetry.start()
    with span("work", attributes={"sluice.stage.type": "password"}, parent=None) as context:
        logging.getLogger("x").warning("inside")
    await telemetry.stop()
    inside, recorded = (json.loads(line) for line in out.getvalue().splitlines())
    assert context is not None
    assert (recorded["logger"], recorded["message"]) == ("telemetry.span", "work")
    assert recorded["trace_id"] == inside["trace_id"] == context[3:35]
    assert recorded["span_id"] == inside["span_id"]
    assert recorded["attributes"] == {"sluice.stage.type": "password"}


async def test_a_test_can_take_the_spans() -> None:
    exporter = InMemorySpanExporter()
    telemetry = setup("planner", settings(None, trace_ratio=1), exporter=exporter, stream=io.StringIO())
    with span("work", parent=None):
        pass
    (one,) = exporter.get_finished_spans()
    await telemetry.stop()
    assert one.resource.attributes["service.name"] == "planner"


async def test_with_the_sdk_disabled_nothing_is_recorded_and_traces_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    out = io.StringIO()
    telemetry = setup("planner", settings(None, trace_ratio=1), stream=out)
    with span("work", parent=None) as begun, span("inside") as inside:
        pass
    with span("work", parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") as continued:
        pass
    await telemetry.stop()
    assert begun is not None
    assert begun == inside
    assert int(begun[3:35], 16) != 0
    assert continued == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert out.getvalue() == ""


async def test_a_processor_that_does_not_stop_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "FLUSH_S", 0.05)
    monkeypatch.setattr(tracing, "GIVE_UP_S", 0.05)
    given_up = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            given_up.wait()

    await tracing.Tracing("planner", 1.0, Stuck(), given_up.set).stop()
    assert given_up.is_set()


async def test_what_goes_wrong_at_the_stop_is_told() -> None:
    class Broken(SpanProcessor):
        def shutdown(self) -> None:
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await tracing.Tracing("planner", 1.0, Broken()).stop()
