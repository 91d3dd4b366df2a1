"""Taking over a partition: from the written states, then the transitions since the committed offset (architecture §4.6)."""

import asyncio
from contextlib import suppress

from services.executor.common.ports import LogDiverged, Noted, Remembered
from services.executor.sessions import history
from services.executor.sessions.journal import Journal
from services.executor.sessions.lifetime import REACH
from services.executor.sessions.ports import Unreadable
from services.executor.sessions.session import packed
from services.executor.sessions.states import SessionStates
from shared.contracts import topics
from shared.contracts.states import CODEC, SessionState, writer_of
from shared.kernel.errors import why
from shared.kernel.ids import partition_of
from shared.messaging.log import Log, Record, TopicPartition

_STATE_LIMIT = 1024 * 1024


async def take_over(
    log: Log, partition: int, committed: int | None, remembered: Remembered, states: SessionStates, journal: Journal,
    unreadable: Unreadable, now_us: int,
) -> None:  # fmt: skip
    """Read what the former owner left. Of states the highest version wins, never the last record.

    Transitions whose orders may not be done yet reach the journal's `unawaited`. Afterwards `journal.known` is the end
    that was seen; the group delivers what follows. `LogDiverged` if the log has not all that was done, or does not have the
    transition that PostgreSQL remembers as the furthest with orders. Where states were lost, the whole history stands in for them.

    Nothing is done anew because a group's offsets are gone, or were set back to the beginning: nobody waits for what is older than a
    session can be, and PostgreSQL does not remember for long what it has carried out.
    """
    sessions = TopicPartition(topics.SESSIONS, partition)
    (states_end, suspects), stands = await asyncio.gather(
        _load_states(log, TopicPartition(topics.STATE, partition), states, unreadable), _stands(log, sessions, remembered.ordered)
    )
    first, end = await log.bounds(sessions)
    start = first if committed is None else committed
    if not first <= start <= end:
        raise LogDiverged(partition, start, max(first, min(start, end)), "committed" if start > end else "below_start")
    if remembered.ordered is not None and not stands:
        raise LogDiverged(partition, remembered.ordered.offset, end, "order")
    if remembered.sessions > end:
        raise LogDiverged(partition, remembered.sessions, end, "end")
    lost = states_end < remembered.states or (remembered.states and not states.any_held)  # the latter also where all are too old
    journal.known = first if lost else start
    since_ms = 0 if journal.known == start > first else (now_us - REACH) // 1000
    async for batch in log.read(sessions, journal.known, end):
        for record in batch:
            if record.timestamp_ms < since_ms:
                continue
            try:
                journal.read(record)
            except Exception as error:  # noqa: BLE001 - as below
                await unreadable.put_once(record, *why(error))
    journal.known = max(journal.known, end)
    states.written_over(suspects)


async def _stands(log: Log, sessions: TopicPartition, ordered: Noted | None) -> bool:
    return ordered is None or await history.stands(log, sessions, ordered)


async def _load_states(log: Log, place: TopicPartition, states: SessionStates, unreadable: Unreadable) -> tuple[int, set[str]]:
    """Hold what was written; where it ends, and the sessions under whose key somebody has written what is none."""
    first, end = await log.bounds(place)
    suspects = set[str]()
    async for batch in log.read(place, first, end):
        for record in batch:
            if record.value is None:
                continue
            try:
                _load(record, states)
            except Exception as error:  # noqa: BLE001 - kept, with its traceback if it is ours; a record must not stop its partition
                suspects |= _session_of(record)
                await unreadable.put_once(record, *why(error))
    return end, suspects


def _session_of(record: Record) -> frozenset[str]:
    """The session whose state may have stood under this key, and is gone then: of a compacted topic the last record of a key stays,
    whoever wrote it."""
    session, owner = writer_of((record.key or b"").decode(errors="replace"))
    with suppress(ValueError):
        if owner and partition_of(session) == record.partition:
            return frozenset((session,))
    return frozenset()


def _load(record: Record, states: SessionStates) -> None:
    """Hold a state unopened. One of an earlier release is opened, and brought up to this one."""
    key, version, value = CODEC.unopened(record)
    session, owner = writer_of(key)
    if version == SessionState.wire_version:
        return states.load(session, owner, value)
    body = CODEC.decode(record, _STATE_LIMIT).body
    states.written_by(session, owner)
    if isinstance(body, SessionState) and body.version > states.get(body.session).version:
        states.put(body, packed(body))
    return None
