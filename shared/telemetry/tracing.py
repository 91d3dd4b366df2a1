"""Which traces are recorded, and by what: the sampler's decision is made here, before the SDK costs anything.

An unsampled SDK span costs 12 us, more than our codec; a hop of an unsampled trace therefore passes the context on as
it came, and a new unsampled trace is only two random ids (so that log lines have a trace id all the same).
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

from shared.telemetry import names
from shared.telemetry.resource import resource_of

FLUSH_S: Final = 3.0
GIVE_UP_S: Final = 0.5


class Tracing:
    """A tracer provider with a parent-based ratio sampler (W3C Trace Context level 1, OpenTelemetry SDK).

    `give_up` is called from the event loop when the processor takes more than `FLUSH_S` to shut down; it then has to end soon.
    """

    def __init__(self, service: str, ratio: float, processor: SpanProcessor, give_up: Callable[[], None] = lambda: None) -> None:
        root = TraceIdRatioBased(ratio)
        self._bound = root.bound
        self._ids = _DrawnIds()
        self._provider = TracerProvider(
            sampler=ParentBased(root), resource=resource_of(service), id_generator=self._ids, shutdown_on_exit=False
        )
        self._give_up = give_up
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

    async def stop(self) -> None:
        """Export what is waiting, then stop; after `FLUSH_S` what is still waiting is let go of."""
        closing = asyncio.wrap_future(self._closing())
        if not (await asyncio.wait([closing], timeout=FLUSH_S))[0]:
            self._give_up()
            await asyncio.wait([closing], timeout=GIVE_UP_S)
        if closing.done():
            closing.result()

    def _closing(self) -> Future[None]:
        # Not in the loop's pool: the SDK waits up to 30 s, and the process's end would wait for a thread of a pool.
        done: Future[None] = Future()

        def close() -> None:
            try:
                self.close()
            except BaseException as error:  # noqa: BLE001 - handed on to who waits
                done.set_exception(error)
            else:
                done.set_result(None)

        threading.Thread(target=close, name="telemetry-close", daemon=True).start()
        return done


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
