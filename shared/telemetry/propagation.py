"""One trace from the POST through Kafka to the answer: every hop continues the context in its record's envelope.

```python
with span("POST /api/v3/flows/executor", SERVER, parent=None):          # the edge begins
    with sending("executor.steps", partition, session) as traceparent:  # ... and the record carries `traceparent` on
        ...
with processing(record, envelope, group):                               # the worker continues
    ...
```
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from opentelemetry import context as otel
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from shared.contracts.envelope import Envelope
from shared.messaging.log import Record
from shared.telemetry import names
from shared.telemetry.tracing import Tracing, parent_context, sampled, traceparent_of

Attributes = Mapping[str, str | int | float | bool]
_INHERIT: Final = "inherit"
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_tracing: Tracing | None = None


def use(tracing: Tracing | None) -> None:
    """Record with this from now on; with None, contexts are only passed on."""
    global _tracing
    _tracing = tracing


def current_traceparent() -> str | None:
    """The W3C context of what this task is doing, for the envelope of what it writes; None outside of any trace."""
    return _current.get()


class span:  # noqa: N801 - read as a statement: `with span(...)`
    """A span around a piece of work; the value of `with` is its W3C context.

    `parent` is the context to continue: by default the current one, None begins a new trace. An exception marks the span
    with its type, never with its text, which may hold what a visitor sent.
    """

    __slots__ = ("_attributes", "_kind", "_name", "_otel", "_parent", "_span", "_token")

    def __init__(
        self, name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None, parent: str | None = _INHERIT
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._parent = parent
        self._span: Span | None = None

    def __enter__(self) -> str | None:
        context = _current.get() if self._parent is _INHERIT else self._parent
        if _tracing is not None:
            if context is None:
                context = _tracing.new_trace()
                if context is None:
                    context = self._begin(_tracing, otel.Context())
            elif sampled(context):
                context = self._begin(_tracing, parent_context(context))
        self._token: Token[str | None] = _current.set(context)
        return context

    def _begin(self, tracing: Tracing, parent: otel.Context) -> str:
        self._span = tracing.tracer.start_span(self._name, parent, self._kind, self._attributes)
        self._otel = otel.attach(set_span_in_context(self._span, parent))
        return traceparent_of(self._span.get_span_context())

    def note(self, name: str, value: str | float | bool) -> None:
        """Add an attribute that was not known at the beginning."""
        if self._span is not None:
            self._span.set_attribute(name, value)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.reset(self._token)
        if self._span is None:
            return
        if kind is not None:
            self._span.set_attribute(names.ERROR_TYPE, kind.__qualname__)
            self._span.set_status(Status(StatusCode.ERROR))
        otel.detach(self._otel)
        self._span.end()


class sending(span):  # noqa: N801
    """Around the append of a record; put the value of `with` into the record's envelope."""

    __slots__ = ()

    def __init__(self, topic: str, partition: int, key: str) -> None:
        super().__init__(
            f"{names.SEND} {topic}", SpanKind.PRODUCER, _send_attributes(topic, partition, key) if _wanted(_current.get()) else None
        )


class processing(span):  # noqa: N801
    """Around the work on a record: continues the trace of who wrote it."""

    __slots__ = ()

    def __init__(self, record: Record, envelope: Envelope, group: str) -> None:
        attributes = _process_attributes(record, envelope, group) if _wanted(envelope.traceparent) else None
        super().__init__(f"{names.PROCESS} {record.topic}", SpanKind.CONSUMER, attributes, parent=envelope.traceparent)


def _wanted(context: str | None) -> bool:
    return _tracing is not None and (context is None or sampled(context))


def _send_attributes(topic: str, partition: int, key: str) -> Attributes:
    return {
        names.SYSTEM: names.KAFKA,
        names.OPERATION_NAME: names.SEND,
        names.OPERATION_TYPE: names.SEND,
        names.DESTINATION: topic,
        names.PARTITION: str(partition),
        names.KEY: key,
    }


def _process_attributes(record: Record, envelope: Envelope, group: str) -> Attributes:
    attributes: dict[str, str | int | float | bool] = {
        names.SYSTEM: names.KAFKA,
        names.OPERATION_NAME: names.PROCESS,
        names.OPERATION_TYPE: names.PROCESS,
        names.DESTINATION: record.topic,
        names.PARTITION: str(record.partition),
        names.OFFSET: record.offset,
        names.GROUP: group,
        names.KEY: envelope.subject,
        names.MESSAGE_ID: envelope.id,
        names.MESSAGE_TYPE: envelope.type,
    }
    if envelope.correlation is not None:
        attributes[names.CONVERSATION] = envelope.correlation
    return attributes
