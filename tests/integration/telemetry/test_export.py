"""Spans of one process at a collector, over real HTTP: what arrives, and what happens when nobody takes them."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from deploy.child import free_port
from shared.runtime.settings import CommonSettings
from shared.telemetry.collector import QUEUE_LOGGER
from shared.telemetry.propagation import span
from shared.telemetry.setup import setup
from tests.integration.telemetry.collector import PATIENCE_S, Collector

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOSES: Final = "the collector does not take spans; they are lost until it does"
UNSENT: Final = "stopped before the collector took the last spans; they are lost"
TAKES: Final = "the collector takes spans again"


@asynccontextmanager
async def telemetry(out: io.StringIO) -> AsyncIterator[None]:
    """Everything recorded while inside; it has to stop, whatever the collector does."""
    running = setup("planner", CommonSettings(metrics_listen=None, trace_ratio=1.0), stream=out)
    await running.start()
    try:
        yield
    finally:
        async with asyncio.timeout(PATIENCE_S / 4):
            await running.stop()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def record(count: int) -> None:
    for number in range(count):
        with span(f"work {number}", parent=None):
            pass


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 -- the exporter's thread has no event to wait for
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("name", "path"), [(ENDPOINT, ""), (ENDPOINT, "/"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces")])
async def test_what_is_waiting_at_the_stop_arrives(collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    monkeypatch.setenv(name, collector.endpoint + path)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=logins,authorization=Bearer%20abc")
    out = io.StringIO()
    async with telemetry(out):
        with span("outer", attributes={"sluice.stage.type": "password"}, parent=None) as context, span("inner"):
            pass
    inner, outer = collector.spans
    assert context is not None
    assert (outer.name, inner.name) == ("outer", "inner")
    assert outer.trace_id == inner.trace_id == context[3:35]
    assert inner.parent_id == outer.span_id == context[36:52]
    assert outer.attributes == {"sluice.stage.type": "password"}
    assert (outer.resource["service.name"], outer.resource["service.namespace"]) == ("planner", "sluice")
    assert len(outer.resource["service.instance.id"]) == 36
    assert (collector.headers[0]["X-Tenant"], collector.headers[0]["Authorization"]) == ("logins", "Bearer abc")
    assert lines(out) == []  # neither the spans nor the exporter's own words


async def test_the_environment_says_who_the_spans_are_of(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, collector.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "login-planner")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=planner-3,deployment.environment.name=staging")
    async with telemetry(io.StringIO()):
        record(1)
    (one,) = collector.spans
    assert one.resource["service.name"] == "login-planner"
    assert one.resource["service.instance.id"] == "planner-3"
    assert one.resource["deployment.environment.name"] == "staging"


@pytest.mark.parametrize("status", [503, 401])
async def test_an_outage_is_told_once_and_so_is_its_end(collector: Collector, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv(ENDPOINT, collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")  # no second try within
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    collector.status = status
    out = io.StringIO()
    async with telemetry(out):
        for requests in (1, 2, 3):
            record(1)
            await until(lambda: collector.requests >= requests)  # noqa: B023
        collector.status = 200
        record(1)
        await until(lambda: len(collector.spans) == 1 and len(lines(out)) > 1)
    lost, found = lines(out)
    assert (lost["level"], lost["message"], lost["reason"]) == ("WARNING", LOSES, f"HTTP status {status}")
    assert (found["level"], found["message"]) == ("INFO", TAKES)
    assert found["lost"] >= 3


async def test_without_a_collector_recording_goes_on_and_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{free_port()}/?key=hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setattr(logging.getLogger(QUEUE_LOGGER), "filters", [])  # the SDK's own, which would spare us most of its lines
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
    out = io.StringIO()
    async with telemetry(out):
        record(1)
        await until(lambda: bool(out.getvalue()))
        record(5000)
    (lost,) = lines(out)
    assert (lost["message"], lost["reason"]) == (LOSES, "ConnectionError: Connection refused")
    assert "hunter2" not in out.getvalue()


async def test_a_collector_that_does_not_answer_does_not_hold_up_the_stop(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    collector.silent = True
    out = io.StringIO()
    async with telemetry(out):
        record(1)
        await until(lambda: collector.requests == 1)
        record(500)  # into the queue: nobody waits
    (lost,) = lines(out)
    assert (lost["level"], lost["message"]) == ("WARNING", UNSENT)


async def test_more_than_can_be_sent_is_told_while_the_collector_is_there(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, collector.endpoint)
    monkeypatch.setattr(logging.getLogger(QUEUE_LOGGER), "filters", [])  # of all tests of this process it lets one line through
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    collector.silent = True  # so far only slow
    out = io.StringIO()
    async with telemetry(out):
        record(1000)
        await until(lambda: "Queue full" in out.getvalue())


async def test_an_outage_that_begins_at_the_stop_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{free_port()}")
    out = io.StringIO()
    async with telemetry(out):
        record(1)
    (lost,) = lines(out)
    assert lost["message"] == UNSENT


@pytest.mark.parametrize("off", [{}, {ENDPOINT: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}])
def test_the_exporter_is_not_even_imported_where_no_collector_is_named(off: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    loaded = modules_after(
        "import sluice.together, shared.runtime.kafka, shared.messaging.kafka.log", "CommonSettings(metrics_listen=None)"
    )
    assert "opentelemetry.sdk.trace" in loaded
    assert [name for name in loaded if name.startswith(("opentelemetry.exporter.otlp", "opentelemetry.proto", "google", "requests"))] == []


def test_the_exporter_is_imported_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    assert "requests" in modules_after("pass", "CommonSettings(metrics_listen=None)")


def modules_after(first: str, settings: str) -> list[str]:
    """The names of all modules in a new interpreter that set telemetry up."""
    program = (
        f"{first}\nimport sys\nfrom shared.runtime.settings import CommonSettings\nfrom shared.telemetry.setup import setup\n"
        f"setup('planner', {settings})\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return done.stdout.split()
