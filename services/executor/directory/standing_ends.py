"""What the log says is over is over here too: a database that was restored from a backup, or made anew, may not know it.

Edges refuse what `executor.revocations` says of the last hour, whatever PostgreSQL says. Without this, somebody whose password was
changed after the backup would log in and be nobody, and a login that was ended since would be good again once the hour is over. And
who is made here later gets a number that nobody had.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shared.contracts.directory import REVOCATIONS_CODEC, LoginRevoked
from shared.contracts.errors import BadRecord
from shared.contracts.topics import REVOCATIONS
from shared.kernel.retrying import insist
from shared.messaging.log import Log, Record, TopicPartition
from shared.postgres.pool import Database

RETRY_S: Final = 1.0
BATCH: Final = 500
_GO_ON_ABOVE: Final = """
UPDATE users SET epoch = said.epoch FROM unnest($1::integer[], $2::integer[]) AS said(pk, epoch)
WHERE users.pk = said.pk AND users.epoch < said.epoch"""
_NUMBERS: Final = "SELECT setval('users_pk_seq', $1) FROM users_pk_seq WHERE last_value < $1"
NUMBERS_MAX: Final = 2**31 - 2**20  # so that some are left
_END: Final = """
UPDATE logins SET ended_us = said.at_us, end_reason = said.reason FROM unnest($1::text[], $2::bigint[], $3::text[]) AS said(id, at_us, reason)
WHERE logins.id = said.id AND ended_us IS NULL"""


async def end_what_the_log_ended(database: Database, log: Log) -> None:
    """Once, at a worker's start, before anybody is made or logs in; what is away is waited for. Where PostgreSQL is as it should be,
    nothing changes."""
    await insist(lambda: _once(database, log), RETRY_S)


async def _once(database: Database, log: Log) -> None:
    epochs: dict[int, int] = {}
    logins: dict[str, LoginRevoked] = {}
    for number in range(await log.partitions(REVOCATIONS)):
        place = TopicPartition(REVOCATIONS, number)
        async for records in log.read(place, *await log.bounds(place)):
            for said in filter(None, map(_revoked, records)):
                if said.what == "login":
                    logins[said.login] = said
                elif said.user < NUMBERS_MAX and said.epoch < 2**31:
                    epochs[said.user] = max(said.epoch, epochs.get(said.user, 0))
    if epochs:
        await database.execute(_NUMBERS, max(epochs))
    for columns in _batches(epochs.items()):
        await database.execute(_GO_ON_ABOVE, *columns)
    for columns in _batches((one.login, one.at_us, one.reason) for one in logins.values()):
        await database.execute(_END, *columns)


def _revoked(record: Record) -> LoginRevoked | None:
    try:
        body = REVOCATIONS_CODEC.decode(record).body
    except BadRecord:  # edges read the same, and keep it
        return None
    return body if isinstance(body, LoginRevoked) else None


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[list[Any]]]:
    """Some hundreds of rows at a time, as columns."""
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield [list(column) for column in zip(*batch, strict=True)]
