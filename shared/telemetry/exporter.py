"""Spans as log lines, so that a trace can be read where there is no collector."""

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from shared.telemetry import names

_log = logging.getLogger(names.SPAN_LOGGER)


class LogSpanExporter(SpanExporter):
    """One line of logger `telemetry.span` for each span: ids, times in nanoseconds since 1970, attributes."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        for span in spans:
            _log.info("%s", span.name, extra=_fields(span))
        return SpanExportResult.SUCCESS


def _fields(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    return {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "kind": span.kind.name.lower(),
        "start_ns": span.start_time or 0,
        "duration_ns": (span.end_time or 0) - (span.start_time or 0),
        "failed": span.status.status_code is StatusCode.ERROR,
        "attributes": dict(span.attributes or {}),
    }
