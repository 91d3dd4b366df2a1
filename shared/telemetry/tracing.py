"""Which traces are recorded, and by what: the sampler's decision is made here, before the SDK costs anything.

An unsampled SDK span costs 12 us, more than our codec; a hop of an unsampled trace therefore passes the context on as
it came, and a new unsampled trace is only two random ids (so that log lines have a trace id all the same).
"""

import secrets

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

from shared.telemetry import names


class Tracing:
    """A tracer provider with a parent-based ratio sampler (W3C Trace Context level 1, OpenTelemetry SDK)."""

    def __init__(self, service: str, ratio: float, processor: SpanProcessor) -> None:
        root = TraceIdRatioBased(ratio)
        self._bound = root.bound
        self._ids = _DrawnIds()
        self._provider = TracerProvider(
            sampler=ParentBased(root), resource=Resource.create({SERVICE_NAME: service}), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self.tracer: Tracer = self._provider.get_tracer(names.SCOPE, schema_url=names.SCHEMA_URL)

    def new_trace(self) -> str | None:
        """A new trace: its context if it is not recorded; None if the next span without a parent shall begin it."""
        drawn = secrets.token_hex(24)
        if self._bound and int(drawn[16:32], 16) < self._bound:
            self._ids.drawn = int(drawn[:32], 16)
            return None
        return f"00-{drawn[:32]}-{drawn[32:]}-00"

    def close(self) -> None:
        """Export what is waiting, then stop."""
        self._provider.shutdown()


class _DrawnIds(IdGenerator):
    """Hands the SDK the trace id that the decision was made on: the sampler decides the same for the same id."""

    drawn: int = 0

    def generate_trace_id(self) -> int:
        drawn, self.drawn = self.drawn, 0
        return drawn or secrets.randbits(128) or 1

    def generate_span_id(self) -> int:
        return secrets.randbits(64) or 1


def sampled(traceparent: str) -> bool:
    """Whether the trace of this context is recorded: the lowest bit of its flags."""
    return int(traceparent[-1], 16) & 1 == 1


def parent_context(traceparent: str) -> Context:
    """The SDK's context under which a span continues this trace."""
    remote = SpanContext(
        int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=TraceFlags(int(traceparent[53:55], 16))
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())


def traceparent_of(context: SpanContext) -> str:
    """The W3C header of a span."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}"
