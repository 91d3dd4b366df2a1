"""What really stands in a partition of `executor.sessions`, read again where somebody's memory of it is doubted (architecture §4.4, §4.15)."""

from collections.abc import AsyncIterator, Container
from dataclasses import dataclass

from services.executor.common.ports import Noted
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import Envelope, from_headers
from shared.contracts.errors import BadRecord
from shared.contracts.sessions import CODEC
from shared.messaging.log import ReadableLog, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Head:
    """The last accepted transition of a session, as a reader from outside would say."""

    version: int
    id: str


async def stands(log: ReadableLog, place: TopicPartition, noted: Noted) -> bool:
    """Whether the transition is where it was; also if retention has taken that part of the partition."""
    first, _ = await log.bounds(place)
    if noted.offset < first:
        return True
    return await _find(log, place, noted) is not None


async def head_after(log: ReadableLog, place: TopicPartition, session: str, noted: Noted) -> Head | None:
    """Where this session's history stands that goes on from a noted transition of it; None if that is not there."""
    found = await _find(log, place, noted)
    if found is None:
        return None
    _, end = await log.bounds(place)
    rule, head = AcceptedTransitions(), None
    async for _, envelope in transitions(log, place, found, end, {session}):
        if rule.accepts(envelope):
            head = Head(envelope.subject_version or 0, envelope.id)
    return head


async def transitions(
    log: ReadableLog, place: TopicPartition, start: int, end: int, sessions: Container[str] | None = None
) -> AsyncIterator[tuple[Record, Envelope]]:
    """The records of these sessions (of all, if none are named) that prove their writer, unopened."""
    async for batch in log.read(place, start, end):
        for record in batch:
            if sessions is not None and (record.key or b"").decode(errors="replace") not in sessions:
                continue
            try:
                CODEC.unopened(record)
                envelope = from_headers(record.headers)
            except BadRecord:
                continue  # dead-lettered by who read it first
            yield record, envelope


async def _find(log: ReadableLog, place: TopicPartition, noted: Noted) -> int | None:
    """Where a transition stands: where it was, or, if nobody knows, anywhere."""
    first, end = await log.bounds(place)
    start, end = (noted.offset, min(noted.offset + 1, end)) if noted.offset >= 0 else (first, end)
    async for record, envelope in transitions(log, place, start, end):
        if envelope.id == noted.transition:
            return record.offset
    return None
