"""Entries as lines: short ones for people, complete ones in JSON."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shared.kernel.terminal import shown, shown_json
from sluice.tail.entries import Entry

VALUE_MAX: Final = 60  # characters; --json has them whole
IDS: Final = frozenset({"session", "subject", "request", "at_us", "command"})
"""Left out for people: the line begins with the session and the time, and ids of questions tell nobody anything."""
SHORT_IDS: Final = frozenset({"run", "binding", "transition", "digest", "edge", "hash", "body", "login"})
ID_MAX: Final = 8  # characters: enough to tell two apart on a screen
STEP: Final = ("kind", "address", "clear", "secret")


def for_people(entry: Entry) -> str:
    """Time, subject, version, event, and what matters of it as name=value."""
    envelope = entry.envelope
    subject = envelope.subject if envelope else (entry.record.key or b"?").decode(errors="replace")
    version = f" v{envelope.subject_version}" if envelope and envelope.subject_version is not None else ""
    step = {**entry.step, **entry.step.get("given", {})} if entry.number == 0 else {}
    repeat = " (repeat)" if entry.repeat else ""
    facts = [*_facts(entry.facts), *_facts({name: step.get(name) for name in STEP})]
    return shown(f"{_time(entry)} {subject}{version} {entry.name}{repeat}  {' '.join(facts)}".rstrip())


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
        "n": entry.number,
        "repeat": entry.repeat,
        "facts": entry.facts,
    }
    if entry.step:
        out["step"] = entry.step
    if envelope is not None:
        out["envelope"] = {name: value for name in type(envelope).__dataclass_fields__ if (value := getattr(envelope, name)) is not None}
    return shown_json(_json(out))


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if name not in IDS and (text := _told(name, value)):
            yield text


def _told(name: str, value: Any) -> str:
    """`name=value` for what is short, what is telling for a large part, nothing for what says nothing."""
    match value:
        case _ if value is False or value in _NOTHING:
            return ""
        case dict():
            return _part(name, value)
        case bytes():
            return f"{name}=<{len(value)} bytes>"
        case str() if name in SHORT_IDS:
            return f"{name}={value[:ID_MAX]}"
        case tuple() | list():
            return f"{name}={_short(_json(value))}"
        case _:
            return f"{name}={_short(str(value))}"


def _part(name: str, part: dict[str, Any]) -> str:
    match part:
        case {"flow": {"slug": slug}, "stages": stages}:
            return f"flow={slug} stages={','.join(str(stage['name']) for stage in stages)}"
        case {"component": component, "kind": kind, "to": to}:
            return f"shows={component or kind}{f' to={_short(to)}' if to else ''}"
        case {"method": method, "subject": subject, **rest}:
            return f"{name}={method} by={subject[:ID_MAX]}{f' proves={proves}' if (proves := rest.get('proves')) else ''}"
        case {"login": login, "username": username, "address": address}:
            return f"{name}={_short(username)}@{_short(address)} ({login[:ID_MAX]})"
        case {"login": login, "username": username}:
            return f"{name}={_short(username)} ({login[:ID_MAX]})"
        case {"user": user, "address": address, "host": _}:
            return f"visitor={_short(user['username']) if user else 'nobody'}@{address or '?'}"
        case {"pk": _, "uid": _, "username": username}:
            return f"{name}={_short(username)}"
        case {"outcome": outcome, "results": _}:
            return f"{name}={outcome}"
        case _:
            return f"{name}={_short(_json(part))}"


def _short(text: str) -> str:
    printable = shown(text)
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


_NOTHING: Final[tuple[object, ...]] = (None, "", (), {}, [])
