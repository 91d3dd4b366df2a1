"""A login's spans at a collector: `sluice up` as people start it, and a collector that is not there."""

from collections import defaultdict
from pathlib import Path

import pytest

from deploy.child import free_port
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor
from tests.integration.telemetry.collector import Collector, Received
from tests.integration.telemetry.test_export import ENDPOINT, LOSES, UNSENT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PASSWORD = "correct-horse-battery-9317"
SERVER = 2  # SpanKind of OTLP
PLANNED = {"send executor.steps", "process executor.steps", "send planner.requests", "process planner.requests", "send planner.plans"}
ASKED = {"send executor.steps", "process executor.steps", "send policy.requests", "process policy.requests", "send policy.verdicts"}
ANSWERED = {"send executor.steps", "process executor.steps"}


def sluice_up(data: Path, endpoint: str, timeout_s: str = "") -> SluiceUp:
    environment = {ENDPOINT: endpoint, "OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    environment |= {"OTEL_EXPORTER_OTLP_TIMEOUT": timeout_s}
    return SluiceUp(data, environment | {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD})


def traces(spans: list[Received]) -> dict[str, list[Received]]:
    found: dict[str, list[Received]] = defaultdict(list)
    for span in spans:
        found[span.trace_id].append(span)
    return found


def root(trace: list[Received]) -> Received:
    """The one span that all others of this trace descend from."""
    ids = {span.span_id for span in trace}
    (first,) = [span for span in trace if span.parent_id not in ids]
    assert (first.parent_id, first.kind) == ("", SERVER)
    return first


def test_each_request_of_a_login_is_one_trace_through_all_who_work_on_it(tmp_path: Path, collector: Collector) -> None:
    with sluice_up(tmp_path / "data", collector.endpoint) as up:
        visitor = Visitor(up.base_url)
        assert visitor.log_in("akadmin", PASSWORD)["component"] == "xak-flow-redirect"
        collector.wait_for(lambda: len(collector.spans) > 0)  # while it runs
        assert up.stop() == 0
    seen = {(root(trace).name, frozenset(span.name for span in trace if span.kind != SERVER)) for trace in traces(collector.spans).values()}
    get, post = "GET /api/v3/flows/executor/{slug}/", "POST /api/v3/flows/executor/{slug}/"
    assert {(get, frozenset(PLANNED)), (post, frozenset(ASKED)), (post, frozenset(ANSWERED))} <= seen
    assert {span.resource["service.name"] for span in collector.spans} == {"sluice"}
    for typed in (b"akadmin", PASSWORD.encode(), b"default-authentication-flow"):
        assert not any(typed in body for body in collector.bodies)
    assert '"telemetry.span"' not in up.output


def test_logins_go_on_without_the_collector(tmp_path: Path) -> None:
    with sluice_up(tmp_path / "data", f"http://127.0.0.1:{free_port()}", timeout_s="0.5") as up:
        for _ in range(3):
            assert Visitor(up.base_url).log_in("akadmin", PASSWORD)["component"] == "xak-flow-redirect"
        assert up.stop() == 0
        assert up.output.count(LOSES) == 1
        assert "opentelemetry" not in up.output


def test_a_collector_that_does_not_answer_holds_up_neither_logins_nor_the_stop(tmp_path: Path, collector: Collector) -> None:
    collector.silent = True
    with sluice_up(tmp_path / "data", collector.endpoint, timeout_s="600") as up:
        assert Visitor(up.base_url).log_in("akadmin", PASSWORD)["component"] == "xak-flow-redirect"
        collector.wait_for(lambda: collector.requests > 0)
        assert up.stop() == 0
        assert up.output.count(UNSENT) == 1


def test_an_endpoint_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    done = sluice_up(tmp_path / "data", "collector:4317/hunter2").command("up", check=False)
    assert done.returncode == 2
    assert f"{ENDPOINT}: wanted is a URL" in done.stderr
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "data" / "postgres").exists()
