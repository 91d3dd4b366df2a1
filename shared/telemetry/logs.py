"""Log lines for machines: one JSON object a line, with the trace it belongs to, and without secrets.

Exceptions are told by type and place. Their text is kept only for errors whose text is ours (`SluiceError`) or the
system's (`OSError`): a driver's or validator's text quotes what a visitor sent.
"""

import json
import logging
import math
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from shared.kernel.errors import SluiceError
from shared.telemetry import names
from shared.telemetry.propagation import current_traceparent

MAX_TEXT: Final = 4096
MAX_FRAMES: Final = 20
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what is passed as `extra` becomes fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "service": self._service,
            "message": record.getMessage()[:MAX_TEXT],
            **_trace(),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD and name not in line:
                line[name] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _told(record.exc_info[1])
        return json.dumps(line, separators=(",", ":"), allow_nan=False, default=_plain)


def install(service: str, level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send all loggers of this process through the formatter, to standard error by default."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    return handler


def remove(handler: logging.Handler) -> None:
    """Undo `install`."""
    logging.getLogger().removeHandler(handler)
    handler.close()


def security(what: str, size: int = 0, facts: Mapping[str, str | int] | None = None) -> None:
    """A security record: a line of logger `security.<what>` with class, size in bytes and trace id, never the input.

    `facts` are ids, codes and names of ours. Callers limit how often they call for one cause.
    """
    extra = {**(facts or {}), "class": what, "size": size}
    logging.getLogger(f"{names.SECURITY_LOGGER}.{what}").warning("security record", extra=extra)


def _trace() -> dict[str, str]:
    context = current_traceparent()
    return {} if context is None else {"trace_id": context[3:35], "span_id": context[36:52]}


def _plain(value: object) -> object:
    if isinstance(value, bool | int | type(None)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)[:MAX_TEXT]


def _told(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    told: dict[str, Any] = {
        "type": type(error).__qualname__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, SluiceError):
        told["code"] = error.code
    if isinstance(error, SluiceError | OSError):
        told["text"] = str(error)[:MAX_TEXT]
    if error.__cause__ is not None:
        told["cause"] = type(error.__cause__).__qualname__
    return told
