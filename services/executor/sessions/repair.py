"""Makes a partition whole that was set aside: the sessions that differ end, logins stay, and what was done is noted anew (architecture §4.15)."""

import logging

from services.executor.common.ports import SetAside
from services.executor.sessions.differing import LOG_LOST, Differing, survey
from services.executor.sessions.lifetime import REACH
from services.executor.sessions.ownership import Appending
from services.executor.sessions.session import packed
from services.executor.sessions.settling import over
from services.executor.sessions.transition import written
from services.executor.sessions.written_states import state_message
from shared.contracts import topics
from shared.contracts.envelope import to_headers
from shared.contracts.states import SessionState
from shared.kernel.clock import Clock
from shared.kernel.ids import random_id
from shared.messaging.log import Log, Membership, Message, TopicPartition

logger = logging.getLogger(__name__)


async def repair(
    partition: int, log: Log, ownership: Appending, membership: Membership, rows: SetAside, clock: Clock, secret_key: bytes
) -> None:
    """End what differs and remove the row; the partition may be taken over then. `Unavailable`: try it again, as it is."""
    now_us = clock.now_us()
    found = await survey(log, partition, await rows.ordered(partition, now_us - REACH), now_us)
    for one in found.differing:
        await _end(one, partition, ownership, secret_key, now_us)
    # What was committed is above the log's end, or below its start: said anew, before anybody takes it for a loss again.
    await membership.commit({TopicPartition(topics.SESSIONS, partition): found.resume})
    await rows.repaired(partition)
    logger.warning("partition %d of %s is repaired: %d sessions ended", partition, topics.SESSIONS, len(found.differing))


async def _end(one: Differing, partition: int, log: Appending, secret_key: bytes, now_us: int) -> None:
    """An end that every reader accepts, behind what the history has; and a state above every one that was written."""
    head = one.head.id
    if not one.over:
        state = SessionState(session=one.session, version=one.head.version, head=head, last_us=now_us)
        end = written(secret_key, state, over(state, LOG_LOST, now_us))
        await log.append(Message(topics.SESSIONS, partition, one.session.encode(), end.value, to_headers(end.envelope)))
        head = end.envelope.id
    version = max(one.version, one.head.version) + 1
    ended = SessionState(session=one.session, version=version, head=head, ended=LOG_LOST, started_us=now_us, last_us=now_us, due_us=now_us)
    await log.append(state_message(partition, ended, packed(ended), random_id()))
