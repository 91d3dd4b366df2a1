"""Taking over a partition: from the written states, then the transitions since the committed offset (architecture §4.6)."""

from services.executor.ports import LogDiverged, Noted
from services.executor.sessions import history
from services.executor.sessions.journal import Journal
from services.executor.sessions.ports import Unreadable
from services.executor.sessions.states import SessionStates
from shared.contracts import topics
from shared.contracts.errors import BadRecord
from shared.contracts.states import CODEC, SessionState, writer_of
from shared.messaging.log import Log, Record, TopicPartition

_STATE_LIMIT = 1024 * 1024


async def take_over(
    log: Log, partition: int, committed: int | None, noted: Noted | None, states: SessionStates, journal: Journal, unreadable: Unreadable
) -> None:
    """Read what the former owner left. Of states the highest version wins, never the last record.

    Transitions whose orders may not be done yet reach the journal's `unawaited`. Afterwards `journal.known` is the end
    that was seen; the group delivers what follows. `LogDiverged` if the log has not all that was done, or does not have the
    transition that PostgreSQL has noted as the furthest with orders.
    """
    place = TopicPartition(topics.STATE, partition)
    async for batch in log.read(place, *await log.bounds(place)):
        for record in batch:
            if record.value is None:
                continue
            try:
                _load(record, states)
            except BadRecord as bad:
                await unreadable.put(record, bad.code, bad.detail)
    sessions = TopicPartition(topics.SESSIONS, partition)
    first, end = await log.bounds(sessions)
    start = first if committed is None else committed
    if not first <= start <= end:
        raise LogDiverged(partition, start, max(first, min(start, end)), "committed" if start > end else "below_start")
    if noted is not None and not await history.stands(log, sessions, noted):
        raise LogDiverged(partition, noted.offset, end, "order")
    journal.known = start
    async for batch in log.read(sessions, start, end):
        for record in batch:
            try:
                journal.read(record)
            except BadRecord as bad:
                await unreadable.put(record, bad.code, bad.detail)
    journal.known = max(journal.known, end)


def _load(record: Record, states: SessionStates) -> None:
    """Hold a state unopened. One of an earlier release is opened, and brought up to this one."""
    key, version, value = CODEC.unopened(record)
    session, owner = writer_of(key)
    if version == SessionState.wire_version:
        return states.load(session, owner, value)
    body = CODEC.decode(record, _STATE_LIMIT).body
    states.written_by(session, owner)
    if isinstance(body, SessionState) and body.version > states.get(body.session).version:
        states.put(body)
    return None
