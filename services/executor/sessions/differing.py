"""Which sessions of a partition differ, after its log lost records: by the history, the written states and the orders (architecture §4.15)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.executor.common.ports import OrderKey
from services.executor.sessions.history import Head, transitions
from services.executor.sessions.session import REACH
from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import from_headers
from shared.contracts.errors import BadRecord
from shared.contracts.states import CODEC, writer_of
from shared.messaging.log import ReadableLog, TopicPartition


@dataclass(frozen=True, slots=True)
class Differing:
    """A session of which something is remembered that its history does not have.

    `head` is where its history ends ("" and 0: nothing of it is left), `version` the highest that anybody remembers, `lost` the
    transitions that are not there.
    """

    session: str
    head: Head
    version: int
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What differs, and `resume`: the offset from which an owner has to read, for what the written states do not know."""

    differing: tuple[Differing, ...]
    resume: int


@dataclass(slots=True)
class _Remembered:
    version: int = 0
    transitions: frozenset[str] = frozenset()


async def survey(log: ReadableLog, partition: int, ordered: Sequence[OrderKey], now_us: int) -> Survey:
    """Compare what is remembered with what is there. Reads all of the partition, of values none; costs its size, and waits for nothing."""
    since_ms = (now_us - REACH) // 1000
    states = await _states(log, partition, since_ms)
    known = {session: _Remembered(head.version, frozenset((head.id,))) for session, head in states.items()}
    for key in ordered:
        one = known.setdefault(key.session, _Remembered())
        one.version, one.transitions = max(one.version, key.version), one.transitions | {key.transition}
    place = TopicPartition(topics.SESSIONS, partition)
    first, end = await log.bounds(place)
    rule, heads, there = AcceptedTransitions(), dict[str, Head](), defaultdict[str, set[str]](set)
    ahead: dict[str, int] = {}
    async for record, envelope in transitions(log, place, first, end):
        session, version = envelope.subject, envelope.subject_version or 0
        if record.timestamp_ms < since_ms and session not in known:
            continue
        there[session].add(envelope.id)
        if rule.accepts(envelope):
            heads[session] = Head(version, envelope.id)
        if record.timestamp_ms >= since_ms and (session not in states or version > states[session].version):
            ahead.setdefault(session, record.offset)
    lost = {session: one.transitions - there[session] for session, one in known.items()}
    differing = tuple(
        Differing(session, heads.get(session, Head(0, "")), one.version, tuple(sorted(lost[session])))
        for session, one in known.items()
        if lost[session]
    )
    return Survey(differing, min((at for session, at in ahead.items() if not lost.get(session)), default=end))


async def _states(log: ReadableLog, partition: int, since_ms: int) -> dict[str, Head]:
    """By session the newest written state: its version, and the transition that it was written after."""
    place, found = TopicPartition(topics.STATE, partition), dict[str, Head]()
    async for batch in log.read(place, *await log.bounds(place)):
        for record in batch:
            try:
                session, _ = writer_of(CODEC.unopened(record)[0])
                envelope = from_headers(record.headers)
            except BadRecord:
                continue
            version = envelope.subject_version or 0
            if record.timestamp_ms >= since_ms and (session not in found or found[session].version < version):
                found[session] = Head(version, envelope.causation or "")
    return found
