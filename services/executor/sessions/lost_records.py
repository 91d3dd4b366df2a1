"""Looks whether the log still has what is known of it, and brings back what was set aside and is repaired (architecture §4.15)."""

import asyncio
import logging
from contextlib import suppress

from services.executor.common.ports import LogDiverged
from services.executor.sessions.partitions import Partitions
from services.executor.sessions.parts import Parts
from services.executor.sessions.repair import repair
from shared.contracts import topics
from shared.kernel.errors import Unavailable
from shared.messaging.log import Membership, TopicPartition

logger = logging.getLogger(__name__)


async def look_now_and_then(partitions: Partitions, parts: Parts, membership: Membership, every_s: float) -> None:
    """Look, for ever: every so often, and at once when a partition was set aside of which PostgreSQL does not know."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await partitions.aside.unwritten.wait()
        partitions.aside.unwritten.clear()
        try:
            await parts.ownership.assured()  # one that slept knows of a log that may have been repaired since
            await _check_ends(partitions, parts)
            await _heed_rows(partitions, parts, membership)
        except Unavailable as away:
            logger.warning("what is set aside is looked at later: %s", away.code)


async def _check_ends(partitions: Partitions, parts: Parts) -> None:
    owners = dict(partitions.owners)
    # an answer that was long under way does not know what was written meanwhile
    known = {number: owner.journal.known for number, owner in owners.items()}
    bounds = await parts.log.bounds_of([TopicPartition(topics.SESSIONS, number) for number in owners])
    for place, (first, end) in bounds.items():
        owner = owners[place.partition]
        try:
            owner.journal.check(known[place.partition], first, end)
        except LogDiverged as error:
            if partitions.owners.get(place.partition) is owner:
                partitions.failed(place.partition, error)


async def _heed_rows(partitions: Partitions, parts: Parts, membership: Membership) -> None:
    """Tell PostgreSQL what is set aside, and do what it says of these partitions: it is where a repair is asked for."""
    aside = partitions.aside
    await aside.write({number: owner.journal.known for number, owner in partitions.owners.items()})
    rows = await aside.rows()
    if rows is None:
        return
    for number in rows.keys() & partitions.owners.keys():
        partitions.put_aside(number, aside.hold(rows[number], written=True))
    for number, refusing in list(aside.held.items()):
        if not refusing.written:
            continue
        if number not in rows:
            await parts.ownership.assured()
            await partitions.take_back(number)
        elif rows[number].repair:
            await parts.ownership.assured()
            await repair(number, parts.log, parts.ownership, membership, parts.set_aside, parts.clock, parts.secret_key)
            await aside.rows()
            await partitions.take_back(number)
