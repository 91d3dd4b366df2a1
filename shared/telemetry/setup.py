"""Telemetry of one process, put together: traces, metrics with their endpoint, log lines."""

import os
from typing import Protocol, TextIO

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from shared.telemetry import logs, metrics, names, propagation, variables
from shared.telemetry.endpoint import MetricsEndpoint
from shared.telemetry.exporter import LogSpanExporter
from shared.telemetry.resource import resource_of
from shared.telemetry.tracing import Tracing


class Telemetry:
    """What `setup` made. `start` opens the metrics endpoint; `stop` exports what is waiting and undoes everything."""

    def __init__(
        self, tracing: Tracing, meters: MeterProvider, endpoint: MetricsEndpoint | None, service: str, level: str, stream: TextIO | None
    ) -> None:
        self._tracing = tracing
        self._meters = meters
        self._handler = logs.install(service, level, stream)
        self.endpoint = endpoint
        propagation.use(tracing)
        # Where nobody can read them, nothing is counted: that took a twentieth of a login's CPU.
        metrics.use(meters.get_meter(names.SCOPE, schema_url=names.SCHEMA_URL) if endpoint else None)

    async def start(self) -> None:
        """Serve metrics, if the settings want it; `OSError` if the address is taken."""
        if self.endpoint is not None:
            await self.endpoint.start()

    async def stop(self) -> None:
        """Export what is waiting (within seconds, whatever the collector does), close the endpoint, let go of the process's loggers."""
        if self.endpoint is not None:
            await self.endpoint.stop()
        propagation.use(None)
        metrics.use(None)
        await self._tracing.stop()
        self._meters.shutdown()
        logs.remove(self._handler)


class Wanted(Protocol):
    """What of a process's settings is for its telemetry."""

    @property
    def trace_ratio(self) -> float:
        """The share of new traces that are recorded."""
        ...

    @property
    def metrics_listen(self) -> tuple[str, int] | None:
        """Host and port of the Prometheus endpoint, if there is to be one."""
        ...

    @property
    def log_level(self) -> str:
        """The least that is logged."""
        ...


def setup(service: str, settings: Wanted, *, exporter: SpanExporter | None = None, stream: TextIO | None = None) -> Telemetry:
    """Set telemetry up for this process, once; `service` is what its spans, metrics and lines say who they are of.

    `exporter` gets every span as it ends (tests
    hand an in-memory one); otherwise spans go to the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`, or become log lines of level info
    where there is none. `stream` is where log lines go, standard error by default.
    """
    registry = CollectorRegistry(auto_describe=True)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False)
    # The reader shows no exemplars, so none are picked.
    meters = MeterProvider([reader], resource_of(service), exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False)
    endpoint = MetricsEndpoint(registry, *settings.metrics_listen) if settings.metrics_listen else None
    ratio = 0.0 if variables.is_disabled(os.environ) else settings.trace_ratio
    tracing = _tracing(service, ratio, meters, exporter)
    return Telemetry(tracing, meters, endpoint, service, settings.log_level.upper(), stream)


def _tracing(service: str, ratio: float, meters: MeterProvider, exporter: SpanExporter | None) -> Tracing:
    if exporter is not None:
        return Tracing(service, ratio, SimpleSpanProcessor(exporter))
    if not variables.exports_traces(os.environ):
        return Tracing(service, ratio, BatchSpanProcessor(LogSpanExporter()))
    from shared.telemetry.collector import CollectorSpanProcessor  # half a second and 17 MB that only those pay who send spans

    processor = CollectorSpanProcessor(meters)
    return Tracing(service, ratio, processor, processor.give_up)
