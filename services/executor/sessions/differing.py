"""Which sessions of a partition differ, after its log lost records: by the history, the written states and the orders (architecture §4.15)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.executor.common.ports import OrderKey
from services.executor.sessions.history import Head, transitions
from services.executor.sessions.lifetime import REACH
from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import from_headers
from shared.contracts.errors import BadRecord
from shared.contracts.states import CODEC, writer_of
from shared.messaging.log import ReadableLog, TopicPartition

LOG_LOST: Final = "log_lost"
"""Why a session ends of which records are gone; its end's command begins with it."""


@dataclass(frozen=True, slots=True)
class Differing:
    """A session of which something is remembered that its history does not have.

    `head` is where its history ends, or would, if nothing of it is left (then it is one of those lost); `version` the highest that anybody remembers, `lost` the
    transitions that are not there. `over`: an earlier repair has ended it, and that is what its history ends with.
    """

    session: str
    head: Head
    version: int
    lost: tuple[str, ...]
    over: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What differs, and `resume`: the offset from which an owner has to read, for what the written states do not know."""

    differing: tuple[Differing, ...]
    resume: int


_NOTHING: Final = Head(0, "")


@dataclass(slots=True)
class _Remembered:
    newest: Head = _NOTHING
    transitions: frozenset[str] = frozenset()


async def survey(log: ReadableLog, partition: int, ordered: Sequence[OrderKey], now_us: int) -> Survey:
    """Compare what is remembered with what is there. Reads all of the partition, of values none; costs its size, and waits for nothing."""
    since_ms = (now_us - REACH) // 1000
    states = await _states(log, partition, since_ms)
    known = {session: _Remembered(head, frozenset((head.id,))) for session, head in states.items()}
    for key in ordered:
        if key.session in states and states[key.session].version > key.version:
            continue  # what was written since says all that matters of it
        one = known.setdefault(key.session, _Remembered())
        one.transitions |= {key.transition}
        if key.version > one.newest.version:
            one.newest = Head(key.version, key.transition)
    place = TopicPartition(topics.SESSIONS, partition)
    first, end = await log.bounds(place)
    rule, heads, there = AcceptedTransitions(), dict[str, Head](), defaultdict[str, set[str]](set)
    ahead: dict[str, int] = {}
    over: set[str] = set()
    async for record, envelope in transitions(log, place, first, end):
        session, version = envelope.subject, envelope.subject_version or 0
        if record.timestamp_ms < since_ms and session not in known:
            continue
        there[session].add(envelope.id)
        if rule.accepts(envelope):
            heads[session] = Head(version, envelope.id)
            if (envelope.causation or "").startswith(f"{LOG_LOST}."):
                over.add(session)
        if record.timestamp_ms >= since_ms and (session not in states or version > states[session].version):
            ahead.setdefault(session, record.offset)
    lost = {session: one.transitions - there[session] for session, one in known.items()}
    differing = tuple(
        Differing(session, heads.get(session, one.newest), one.newest.version, tuple(sorted(lost[session])), session in over)
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
