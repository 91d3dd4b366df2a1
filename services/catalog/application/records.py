"""From events and news to records of the log: the catalog's two topics, in the order that readers rely on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from services.catalog.domain.objects import Catalog, Changed, Created, Definition, Deleted, Event
from services.catalog.domain.problems import non_field
from services.catalog.domain.publication import News, PointerKey, Publication, publication
from shared.contracts import wire
from shared.contracts.catalog import DefinitionChanged
from shared.contracts.codec import encode
from shared.contracts.definitions import BodyPublished, ObjectRemoved, PointerMoved, body_key, kind_of, pointer_key
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadRecord
from shared.contracts.model import Contract, Plain
from shared.contracts.topics import CATALOG_EVENTS, DEFINITIONS, TOPICS
from shared.messaging.log import Message, Refused, check

SOURCE: Final = "catalog"


@dataclass(frozen=True, slots=True)
class Occasion:
    """When records are made, from where their ids come, and the trace that they belong to (W3C `traceparent`)."""

    at_us: int
    new_id: Callable[[], str]
    traceparent: str | None = None


def published(catalog: Catalog) -> Publication:
    """What this catalog amounts to; `Invalid` if something in it is no value that we put on the wire."""
    try:
        return publication(catalog)
    except (ValueError, OverflowError, TypeError) as failure:
        raise non_field(f"This cannot be published: {type(failure).__name__}.") from None


def stream(definition: Definition) -> str:
    """The name of a definition's stream of events, and the key of its records in `catalog.events`."""
    return f"{definition.kind}/{definition.pk}"


def subject(event: Event) -> Definition:
    """The definition that an event is about, as it is after it; as it was, if it is gone."""
    match event:
        case Created(definition) | Deleted(definition):
            return definition
        case Changed(_, after):
            return after


def history(event: Event) -> tuple[Plain, Plain]:
    """What a definition was before and after an event; empty where it was not."""
    match event:
        case Created(definition):
            return {}, _told(definition)
        case Changed(before, after):
            return _told(before), _told(after)
        case Deleted(definition):
            return _told(definition), {}


def what(event: Event) -> str:
    """`created`, `changed` or `deleted`."""
    return type(event).__name__.lower()


def definition_records(news: News, occasion: Occasion) -> list[Message]:
    """The records of `catalog.definitions`: bodies, then pointers, then removals; `Invalid` if one is too large."""
    out = [
        _record(DEFINITIONS, body_key(name), BodyPublished(hash=name, kind=kind_of(body), content=body.model_dump()), occasion)
        for name, body in news.bodies
    ]
    for move in news.pointers:
        one = move.pointer
        moved = PointerMoved(
            kind=one.kind, pk=one.pk, name=one.name, version=move.version, body=one.body, needs=one.needs, runs_from=move.runs_from
        )
        out.append(_record(DEFINITIONS, pointer_key(one.kind, one.pk), moved, occasion))
    for version, (kind, pk) in news.removed:
        removed = ObjectRemoved(kind=kind, pk=pk, version=version)
        out.append(_record(DEFINITIONS, pointer_key(kind, pk), removed, occasion))
    return out


def event_records(events: Sequence[tuple[int, Event]], actor: str, occasion: Occasion) -> list[Message]:
    """The records of `catalog.events`, of events with the versions of their streams."""
    out = []
    for version, event in events:
        definition, (before, after) = subject(event), history(event)
        changed = DefinitionChanged.model_validate(
            {"what": what(event), "kind": definition.kind, "pk": definition.pk, "name": definition.name[:512], "version": version}
            | {"actor": actor, "at_us": occasion.at_us, "before": before, "after": after}
        )
        out.append(_record(CATALOG_EVENTS, stream(definition), changed, occasion, version))
    return out


def tombstones(bodies: Iterable[str], pointers: Iterable[PointerKey]) -> list[Message]:
    """The records that let compaction forget these."""
    keys = [*map(body_key, bodies), *(pointer_key(kind, pk) for kind, pk in pointers)]
    return [Message(DEFINITIONS, 0, key.encode(), None) for key in keys]


def _told(definition: Definition) -> Plain:
    told = dict(definition.fields)
    return told | {"type": definition.type} if definition.type else told


def _record(topic: str, key: str, body: Contract, occasion: Occasion, version: int | None = None) -> Message:
    envelope = Envelope(
        id=occasion.new_id(),
        type=body.wire_type,
        version=body.wire_version,
        source=SOURCE,
        subject=key,
        time_us=occasion.at_us,
        subject_version=version,
        traceparent=occasion.traceparent,
    )
    try:
        headers, value = encode(envelope, body)
        wire.unpack(value, TOPICS[topic].max_bytes)
        message = Message(topic, 0, key.encode(), value, headers)
        check(message, TOPICS)
    except (BadRecord, Refused, ValueError, OverflowError, TypeError) as failure:
        raise non_field(f"This cannot be published: {type(failure).__name__}.") from None
    return message
