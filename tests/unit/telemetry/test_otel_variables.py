"""OpenTelemetry's own variables: what they switch on, what is refused and never repeated, and how they meet our settings."""

import os

import pytest
from opentelemetry.util.re import parse_env_headers

from shared.kernel.variables import Misconfigured
from shared.runtime.environment import load
from shared.runtime.settings import CommonSettings
from shared.telemetry.variables import exports_traces, mistakes, trace_ratio

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
ON = {ENDPOINT: "http://collector:4318"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "SLUICE_"))]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        (ON, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ON | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ON | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ON | {"OTEL_SDK_DISABLED": "True"}, False),
        (ON | {"OTEL_SDK_DISABLED": "false"}, True),
    ],
)
def test_what_switches_the_collector_on(environ: dict[str, str], on: bool) -> None:
    assert exports_traces(environ) is on
    assert list(mistakes(environ)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "collector:4318/hunter2"),
        (ENDPOINT, "http://"),
        (ENDPOINT, "http://[hunter2"),
        (ENDPOINT, "http://collector:hunter2"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://hunter2:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        (HEADERS, "hunter2"),
        (HEADERS, 'authorization="hunter2"'),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b,=hunter2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for given, text in (ON | {name: value}).items():
        monkeypatch.setenv(given, text)
    with pytest.raises(Misconfigured) as refused:
        load(CommonSettings)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{name}: wanted is ")
    assert "hunter2" not in line


def test_nobody_looks_at_the_settings_of_an_exporter_that_is_off() -> None:
    assert list(mistakes({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", HEADERS: "nonsense"})) == []


@pytest.mark.parametrize(
    "headers", ["a=b", " a = b , c=d%20e,", "authorization=Basic dXNlcjpwYXNz==", "x-tenant=", 'a="b"', "a", "a=b;c", "a b=c", "a=\u00e9"]
)
def test_headers_are_taken_as_the_exporter_takes_them(caplog: pytest.LogCaptureFixture, headers: str) -> None:
    parse_env_headers(headers, liberal=True)
    assert bool(list(mistakes(ON | {HEADERS: headers}))) is bool(caplog.records)


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        ("", "", 0.01),
        ("always_on", "", 1.0),
        ("parentbased_always_on", "0.5", 1.0),
        ("parentbased_always_off", "", 0.0),
        ("traceidratio", "0.25", 0.25),
        ("ParentBased_TraceIdRatio", "0", 0.0),
        ("parentbased_traceidratio", "", 1.0),
    ],
)
def test_the_standard_sampler_is_the_default_of_our_ratio(
    monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, ratio: float
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    assert trace_ratio(os.environ) == ratio
    assert load(CommonSettings).trace_ratio == ratio
    monkeypatch.setenv("SLUICE_TRACE_RATIO", "0.125")
    assert load(CommonSettings).trace_ratio == 0.125


@pytest.mark.parametrize("argument", ["1.5", "nan", "x"])
def test_a_share_that_is_none_is_refused(argument: str) -> None:
    (line,) = mistakes({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": argument})
    assert line.startswith("OTEL_TRACES_SAMPLER_ARG: ")
