"""What one process sets up, seen from outside: `/metrics`, spans as log lines, settings."""

import io
import json
import logging

import aiohttp
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from shared.telemetry.metrics import metrics
from shared.telemetry.propagation import span
from shared.telemetry.settings import TelemetrySettings, address
from shared.telemetry.setup import setup


def settings(**values: object) -> TelemetrySettings:
    return TelemetrySettings.model_validate({"metrics_listen": "127.0.0.1:0", **values})


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
        metrics().dead_letter("executor.steps", "E_EVT_SYNTAX")
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
    second = setup("executor", settings(metrics_listen=f"127.0.0.1:{first.endpoint.port}"), stream=io.StringIO())
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
    await first.stop()


async def test_spans_become_log_lines_if_the_settings_say_so() -> None:
    out = io.StringIO()
    telemetry = setup("planner", settings(metrics_listen="", trace_ratio=1), stream=out)
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
    telemetry = setup("planner", settings(metrics_listen="", trace_ratio=1), exporter=exporter, stream=io.StringIO())
    with span("work", parent=None):
        pass
    (one,) = exporter.get_finished_spans()
    await telemetry.stop()
    assert one.resource.attributes["service.name"] == "planner"


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "9464", "127.0.0.1:", "127.0.0.1:99999", "example.com:9464", "[::]:1", ":9464"])
def test_metrics_are_for_loopback_only(listen: str) -> None:
    with pytest.raises(ValidationError):
        settings(metrics_listen=listen)


def test_loopback_addresses_are_taken() -> None:
    assert address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert address("[::1]:1") == ("::1", 1)
    assert address("localhost:1") == ("localhost", 1)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, "much"])
def test_a_ratio_is_between_nothing_and_all(ratio: object) -> None:
    with pytest.raises(ValidationError):
        settings(trace_ratio=ratio)
