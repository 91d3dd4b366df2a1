"""Entries as lines: short ones for people, complete ones in JSON."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sluice.tail.entries import Entry

VALUE_MAX: Final = 60  # characters; --json has them whole
IDS: Final = frozenset({"session", "subject", "request", "at_us", "command"})
"""Left out for people: the line begins with the session and the time, and ids of questions tell nobody anything."""
STEP: Final = ("kind", "address", "clear", "secret")


def for_people(entry: Entry) -> str:
    """Time, subject, version, event, and what matters of it as name=value."""
    envelope = entry.envelope
    subject = envelope.subject if envelope else (entry.record.key or b"?").decode(errors="replace")
    version = f" v{envelope.subject_version}" if envelope and envelope.subject_version is not None else ""
    given = entry.step.get("given", {})
    facts = [*_facts(entry.facts), *_facts({name: {**entry.step, **given}.get(name) for name in STEP})]
    return f"{_time(entry)} {subject}{version} {entry.name}  {' '.join(facts)}".rstrip()


def for_programs(entry: Entry) -> str:
    """Everything as one JSON object; bytes as {"base64": ...}."""
    record, envelope = entry.record, entry.envelope
    out: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": _time(entry),
        "key": (record.key or b"").decode(errors="replace"),
        "event": entry.name,
        "facts": entry.facts,
    }
    if entry.step:
        out["step"] = entry.step
    if envelope is not None:
        out["envelope"] = {name: value for name in type(envelope).__dataclass_fields__ if (value := getattr(envelope, name)) is not None}
    return _json(out)


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if name not in IDS and (text := _told(name, value)):
            yield text


def _told(name: str, value: Any) -> str:
    """`name=value` for what is short, what is telling for a large part, nothing for what says nothing."""
    match value:
        case None | "" | () | {} | False:
            return ""
        case {"flow": {"slug": slug}, "stages": stages}:
            return f"flow={slug} stages={','.join(str(stage['name']) for stage in stages)}"
        case {"component": component, "kind": kind, **rest}:
            target = f" to={rest['to']}" if rest.get("to") else ""
            return f"shows={component or kind}{target}"
        case {"method": method, "subject": subject}:
            return f"{name}={method} by={subject}"
        case {"login": login, "username": username}:
            return f"{name}={username} ({login})"
        case {"user": user, "address": address, "host": host}:
            return f"visitor={user['username'] if user else 'anonymous'}@{address or '?'} host={host}"
        case {"outcome": outcome, "results": _}:
            return f"{name}={outcome}"
        case bytes():
            return f"{name}=<{len(value)} bytes>"
        case dict() | tuple() | list():
            return f"{name}={_short(_json(value))}"
        case _:
            return f"{name}={_short(str(value))}"


def _short(text: str) -> str:
    # What visitors typed may hold control characters, which must not reach a terminal.
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return printable if len(printable) <= VALUE_MAX else f"{printable[: VALUE_MAX - 1]}…"


def _time(entry: Entry) -> str:
    moment = datetime.fromtimestamp(entry.record.timestamp_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_bytes)


def _bytes(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)
