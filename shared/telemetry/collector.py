"""Spans to a collector, over OTLP/HTTP. A collector that is away costs its spans and two log lines, and holds nobody up.

Who records a span only puts it into the bounded queue of the SDK's batch processor; its thread sends, here. Import this
module only where spans are sent: with the exporter come Requests and protobuf, 17 MB and half a second.

The exporter would write a line for each attempt, with addresses in it that may hold a token; its lines are kept back.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUIETED: Final = {"opentelemetry.exporter.otlp": logging.CRITICAL, "urllib3": logging.INFO}
QUEUE_LOGGER: Final = "opentelemetry.sdk._shared_internal"
NOT_SENT: Final = "not sent"

_log = logging.getLogger(__name__)


class CollectorSpanExporter(SpanExporter):
    """Sends spans where `OTEL_EXPORTER_OTLP_*` say, and tells once that they are lost, and once that they no longer are.

    `export` is called by one thread; `shutdown`, also more than once, by any.
    """

    def __init__(self, meters: MeterProvider | None = None) -> None:
        self._session = _Session()
        self._exporter = OTLPSpanExporter(session=self._session, meter_provider=meters)
        self._lost = 0
        self._stopping = threading.Event()
        self._queue_log = logging.getLogger(QUEUE_LOGGER)
        self._queue_log.addFilter(self._is_news)
        for name, level in QUIETED.items():  # for good: a request that is under way may still speak after the end
            logging.getLogger(name).setLevel(level)

    @property
    def is_losing(self) -> bool:
        """Whether the last batch did not arrive."""
        return self._lost > 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        if self._stopping.is_set():
            return SpanExportResult.FAILURE
        self._session.reason = NOT_SENT
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                _log.info("the collector takes spans again", extra={"lost": self._lost})
            self._lost = 0
            return result
        if not self._lost and not self._stopping.is_set():
            _log.warning("the collector does not take spans; they are lost until it does", extra={"reason": self._session.reason})
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Stop sending, at once: an attempt that is waiting for its next try gives up, the queue is let go of."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._queue_log.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        # A full queue is what an outage means; without one it says that more is recorded than can be sent.
        return record.levelno >= logging.ERROR or not self._lost


class CollectorSpanProcessor(BatchSpanProcessor):
    """The SDK's batches (`OTEL_BSP_*` are their sizes) for the collector; `give_up` ends a shutdown that takes too long."""

    def __init__(self, meters: MeterProvider | None = None) -> None:
        self._collector = CollectorSpanExporter(meters)
        super().__init__(self._collector, meter_provider=meters)

    def shutdown(self) -> None:
        """Send what is waiting, then stop; where the collector is known to be away, stop at once."""
        if self._collector.is_losing:
            self.give_up()
        super().shutdown()  # type: ignore[no-untyped-call]

    def give_up(self) -> None:
        """Send nothing more; from any thread. Told where it is news that spans are lost."""
        if not self._collector.is_losing:
            _log.warning("stopped before the collector took the last spans; they are lost")
        self._collector.shutdown()


class _Session(requests.Session):
    """Knows why the last request failed, in words without address, header or body."""

    reason = NOT_SENT

    def request(self, method: str, url: Any, *args: Any, **options: Any) -> requests.Response:
        try:
            answer = super().request(method, url, *args, **options)
        except Exception as error:
            self.reason = _told(error)
            raise
        self.reason = f"HTTP status {answer.status_code}"
        return answer


def _told(error: BaseException) -> str:
    innermost = error
    while (deeper := innermost.__cause__ or innermost.__context__) is not None:
        innermost = deeper
    system = innermost.strerror if isinstance(innermost, OSError) else None
    return f"{type(error).__qualname__}: {system or type(innermost).__qualname__}"
