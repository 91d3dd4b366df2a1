"""From messages to records and back: the registry of types, versions and upcasters, and total decoders."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import ValidationError

from shared.contracts import errors, wire
from shared.contracts.envelope import Envelope, Headers, from_headers, refuse_unread, to_headers
from shared.contracts.model import Contract

M = TypeVar("M", bound=Contract)
Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]
DEFAULT_LIMIT: Final = 256 * 1024
_RANGE: Final = frozenset(
    (
        "greater_than_equal",
        "less_than_equal",
        "int_parsing_size",
        "too_long",
        "too_short",
        "string_too_long",
        "bytes_too_long",
        "bytes_too_short",
    )
)


class Raw(Protocol):
    """What a decoder needs of a stored record."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


def prove(record: Raw) -> None:
    """`BadProof` unless a service that may write there wrote exactly this, there. Decoding asks.

    The log that gave the record out says who can tell (`log.Record.prover`); what was in none, an outbox's row, is our own.
    """
    prover = getattr(record, "prover", None)
    if prover is not None:
        prover.check(record)


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """A decoded record: who says it, and what."""

    envelope: Envelope
    body: M


@dataclass(frozen=True, slots=True)
class _Known:
    model: type[Contract]
    upcasters: Mapping[int, Upcaster]


class Codec:
    """The message types of some topics. A module of contracts has one for each group of topics that is read as one."""

    def __init__(self, messages: Iterable[type[Contract]], upcasters: Mapping[tuple[str, int], Upcaster] | None = None) -> None:
        self._known: dict[str, _Known] = {}
        for model in messages:
            if model.wire_type in self._known:
                raise ValueError(f"two messages are called {model.wire_type}")
            chain = {v: up for (name, v), up in (upcasters or {}).items() if name == model.wire_type}
            missing = set(range(1, model.wire_version)) - set(chain)
            if missing:
                raise ValueError(f"{model.wire_type}: no upcaster from version {min(missing)}")
            self._known[model.wire_type] = _Known(model, chain)

    @property
    def messages(self) -> tuple[type[Contract], ...]:
        """The message types, in the order they were given."""
        return tuple(known.model for known in self._known.values())

    def decode(self, record: Raw, limit: int = DEFAULT_LIMIT) -> Received[Contract]:
        """The message in a record, brought up to the current version; a `BadRecord` for anything else.

        Nothing of the value is looked at before the record has proved its writer. What this process itself has just said, and a log of
        its own gives out (`log.Record.said`), is what it was, and not validated again.
        """
        said: Received[Contract] | None = getattr(record, "said", None)
        if said is not None:
            return said
        envelope = from_headers(record.headers)
        self._prove(record, envelope.type, envelope.version, envelope.subject.encode())
        body = wire.unpack(record.value or b"", limit)
        if type(body) is not dict:
            raise errors.BadType
        return Received(envelope, self.current(envelope.type, envelope.version, body))

    def current(self, kind: str, version: int, body: Mapping[str, Any]) -> Contract:
        """A message of this type and version, brought up to the current one; a `BadRecord` for what is none."""
        known = self._known_in(kind, version)
        for older in range(version, known.model.wire_version):
            body = _upcast(known.upcasters[older], body)
        return _validated(known.model, body)

    def unopened(self, record: Raw) -> tuple[str, int, bytes]:
        """Subject, version of the message and value of a record that is ours, whose value is not looked at; a `BadRecord` for any
        other. For who holds very many of them, and opens few."""
        refuse_unread(record.headers)
        found = dict(record.headers)
        try:
            kind, version, subject = found["ce_type"].decode(), int(found["ce_dataversion"]), found["ce_subject"]
            self._prove(record, kind, version, subject)
            return subject.decode(), version, record.value or b""
        except (KeyError, ValueError):
            raise errors.BadHeader from None

    def _prove(self, record: Raw, kind: str, version: int, subject: bytes) -> None:
        known = self._known_in(kind, version)
        if record.key is None or record.key != subject:
            raise errors.BadKey
        if record.value is None:
            raise errors.BadSyntax("no value")
        if not known.model.proves_itself:
            prove(record)

    def _known_in(self, kind: str, version: int) -> _Known:
        known = self._known.get(kind)
        if known is None:
            raise errors.UnknownType(kind[:100])
        if not 1 <= version <= known.model.wire_version:
            raise errors.BadVersion(f"{kind[:100]} {version}")
        return known


def _upcast(step: Upcaster, body: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return step(body)
    except (LookupError, TypeError, ValueError, AttributeError):
        # An upcaster may take the old version's fields for granted: it runs before anything is validated.
        raise errors.BadField("not what the old version was") from None


def _validated(model: type[Contract], body: Mapping[str, Any]) -> Contract:
    try:
        return model.model_validate(body)
    except ValidationError as failure:
        # Names of fields and of rules only: values may be what somebody typed.
        problems = failure.errors(include_url=False, include_context=False, include_input=False)
        detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in problems[:5])
        kinds = {e["type"] for e in problems}
        raise _kind_of(kinds)(detail) from None


def _kind_of(kinds: set[str]) -> type[errors.BadRecord]:
    if kinds & {"missing", "extra_forbidden"}:
        return errors.BadField
    if kinds & _RANGE:
        return errors.BadRange
    if any(kind.endswith(("_type", "_parsing")) for kind in kinds):
        return errors.BadType
    return errors.BadField


def encode(envelope: Envelope, body: Contract) -> tuple[Headers, bytes]:
    """Headers and value of the record that carries this message."""
    return to_headers(envelope), wire.pack(body.model_dump())
