"""From records to entries: one for each event, and of `executor.sessions` only what was accepted (architecture §4.2)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import Envelope, from_headers
from shared.contracts.errors import BadRecord
from shared.contracts.messages import MESSAGES, codec_of
from shared.contracts.sessions import SessionAdvanced
from shared.contracts.topics import SESSIONS, TOPICS
from shared.messaging.log import Record
from sluice.tail.seen import SeenIds

REMOVED: Final = "(removed)"
UNREADABLE: Final = "(unreadable)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `step` is what all events of one transition share, `number` its place among them, from 0.

    `envelope` is None where the record has none. `repeat`: a record with its id was there before, so nothing happened again.
    """

    record: Record
    envelope: Envelope | None
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    repeat: bool = False


class Entries:
    """Turns the records of one topic, in the order of each partition, into entries."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._codec = codec_of(MESSAGES[topic][0])
        self._seen = SeenIds()
        self._accepted = AcceptedTransitions() if topic == SESSIONS else None

    def of(self, record: Record) -> Iterator[Entry]:
        """The entries of the next record: none for a transition that does not count."""
        envelope: Envelope | None = None
        try:
            if record.value is None:
                yield Entry(record, None, REMOVED)
                return
            envelope = from_headers(record.headers)
            body = self._codec.decode(record, TOPICS[self._topic].max_bytes).body
            if self._accepted is not None and not self._accepted.accepts(envelope):
                return
        except BadRecord as error:
            yield Entry(record, envelope, UNREADABLE, {"reason": error.code, "detail": error.detail})
            return
        if isinstance(body, SessionAdvanced):
            yield from _events(record, envelope, body)
        else:
            yield Entry(record, envelope, envelope.type, body.model_dump(), repeat=self._seen.is_repeat(envelope.id))


def _events(record: Record, envelope: Envelope, body: SessionAdvanced) -> Iterator[Entry]:
    step = body.model_dump(exclude={"events"})
    if not body.events:
        yield Entry(record, envelope, "(no event)", {}, step)
    for number, event in enumerate(body.events):
        facts = event.model_dump()
        yield Entry(record, envelope, facts.pop("event"), facts, step, number)
