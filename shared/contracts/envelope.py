"""The envelope: CloudEvents' Kafka binding in binary mode, and W3C trace context, all in record headers.

CloudEvents 1.0.2 Kafka protocol binding §3.2; Trace Context level 1. Our extensions (`dataversion`, `subjectversion`,
`parentid`, `causationid`, `correlationid`) keep to CloudEvents' rule for names. Nobody needs the body to route a
record, to drop a double, or to see whether a transition was accepted.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from shared.contracts.errors import BadHeader, Unreadable

Headers = tuple[tuple[str, bytes], ...]

_EPOCH = date(1970, 1, 1)
_MAX_HEADERS = 32
_MAX_BYTES = 8192
_MAX_VALUE = 1024
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_RFC3339 = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?Z\Z", re.ASCII)
_DAY_US = 86_400_000_000
CONTENT_TYPE = b"application/msgpack"
_SPECVERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", CONTENT_TYPE)
OURS = frozenset(
    (
        "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "ce_dataversion", "content-type",
        "ce_subjectversion", "ce_parentid", "ce_causationid", "ce_correlationid", "traceparent",
    )
)  # fmt: skip
"""The headers that mean something to us; all of them are covered by a record's proof. Others may come along, from tracing agents."""


UNREADABLE: Final = "sluice-unreadable"
"""The first header of what the log could not read: its value says why, the record's value is the beginning of the bytes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who says what about whom, and why.

    `id` is unique for its source; `subject` is what the record's key names; `causation` is the command or record that
    led to this one, `correlation` the session's conversation; `subject_version` and `parent` place a transition in its
    session (architecture §4.2).
    """

    id: str
    type: str
    version: int
    source: str
    subject: str
    time_us: int
    subject_version: int | None = None
    parent: str | None = None
    causation: str | None = None
    correlation: str | None = None
    traceparent: str | None = None


def to_headers(envelope: Envelope) -> Headers:
    """The record headers that carry this envelope."""
    kind, source, version = _said_often(envelope.type, envelope.source, envelope.version)
    out = [
        _SPECVERSION,
        ("ce_id", envelope.id.encode()),
        kind,
        source,
        ("ce_time", _rfc3339(envelope.time_us)),
        ("ce_subject", envelope.subject.encode()),
        version,
        _CONTENT_TYPE,
    ]
    if envelope.subject_version is not None:
        out.append(("ce_subjectversion", b"%d" % envelope.subject_version))
    for name, value in (
        ("ce_parentid", envelope.parent),
        ("ce_causationid", envelope.causation),
        ("ce_correlationid", envelope.correlation),
        ("traceparent", envelope.traceparent),
    ):
        if value is not None:
            out.append((name, value.encode()))
    return tuple(out)


def from_headers(headers: Headers) -> Envelope:
    """The envelope in these headers; `BadHeader` if there is none, or it is doubled, too large or not text, `Unreadable` where the log said so."""
    refuse_unread(headers)
    if len(headers) > _MAX_HEADERS:
        raise BadHeader
    raw, size = dict[str, bytes](), 0
    for name, value in headers:
        size += len(name) + len(value)
        if name in OURS:
            if name in raw or len(value) > _MAX_VALUE:
                raise BadHeader
            raw[name] = value
    if size > _MAX_BYTES or raw.pop("ce_specversion", b"") != b"1.0" or raw.pop("content-type", b"") != CONTENT_TYPE:
        raise BadHeader
    try:
        found = {name: value.decode() for name, value in raw.items()}
        version = found.get("ce_subjectversion")
        trace = found.get("traceparent")
        return Envelope(
            id=found["ce_id"],
            type=found["ce_type"],
            version=_number(found["ce_dataversion"]),
            source=found["ce_source"],
            subject=found["ce_subject"],
            time_us=_micros(found["ce_time"]),
            subject_version=None if version is None else _number(version),
            parent=found.get("ce_parentid"),
            causation=found.get("ce_causationid"),
            correlation=found.get("ce_correlationid"),
            # A foreign or damaged trace context is dropped, not an error: Trace Context §3.2.
            traceparent=trace if trace and _TRACEPARENT.match(trace) else None,
        )
    except (KeyError, ValueError, OverflowError):
        raise BadHeader from None


def refuse_unread(headers: Headers) -> None:
    """`Unreadable` for what the log could not read."""
    if headers and headers[0][0] == UNREADABLE:
        raise Unreadable(headers[0][1].decode(errors="replace")[:100])


def causation_of(headers: Headers) -> str | None:
    """What a record answers, for readers who drop most of what comes by: neither proved nor checked. None: it does not say."""
    for name, value in headers:
        if name == "ce_causationid":
            return value.decode(errors="replace")
    return None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise ValueError(text)
    return int(text)


@lru_cache(maxsize=256)
def _said_often(kind: str, source: str, version: int) -> tuple[tuple[str, bytes], tuple[str, bytes], tuple[str, bytes]]:
    """Headers that most records share: made once, for the embedded log keeps those of an hour."""
    return ("ce_type", kind.encode()), ("ce_source", source.encode()), ("ce_dataversion", b"%d" % version)


def _rfc3339(us: int) -> bytes:
    days, rest = divmod(us, _DAY_US)
    seconds, micros = divmod(rest, 1_000_000)
    minutes, second = divmod(seconds, 60)
    return b"%sT%02d:%02d:%02d.%06dZ" % (_date(days), minutes // 60, minutes % 60, second, micros)


def _micros(text: str) -> int:
    found = _RFC3339.match(text)
    if not found:
        raise ValueError(text)
    day, hour, minute, second, fraction = found.groups("0")
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(text)
    micros = int(fraction.ljust(6, "0"))
    return _days(day) * _DAY_US + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros


@lru_cache(maxsize=8)
def _date(days: int) -> bytes:
    return (_EPOCH + timedelta(days=days)).isoformat().encode()


@lru_cache(maxsize=8)
def _days(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days
