"""The outbox: what a transaction says in the log is said if, and only if, it commits.

Rows are appended in the caller's transaction and deleted once the log has acknowledged them. The relay never remembers
a position: a reader that pages by an ascending id skips the row that got its id early and was committed late. Here
such a row is just met by the next pass.

Order. A transaction appends *after* it has locked or read what its rows tell of. Rows that depend on one another are
then in the order of their ids, and whoever sees the later one sees the earlier one too (PostgreSQL lets a waiting
transaction go on only after it has shown the first one's work). So one pass in the order of ids, in one snapshot,
keeps the order of every key. Unrelated rows may pass one another.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from importlib.resources import files
from typing import Any, Final

from shared.contracts import wire
from shared.kernel.errors import Unavailable
from shared.messaging.log import Headers, Message
from shared.postgres.migrations import MigrationSet
from shared.postgres.pool import Connection, Database, Row

logger = logging.getLogger(__name__)

OUTBOX: Final = MigrationSet.load("outbox", files("shared.postgres.outbox_migrations"))
"""The migration that makes the table; put it before the service's own."""

HEADERS_MAX: Final = 16 * 1024

_APPEND: Final = """
INSERT INTO outbox (topic, partition, key, value, headers)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[], $4::bytea[], $5::bytea[])"""
_LAST: Final = """
SELECT coalesce(max(id), 0) AS id, EXISTS (SELECT FROM outbox_lead WHERE until > clock_timestamp() - interval '10 seconds') AS has_relay
FROM outbox"""
_WAITS: Final = "SELECT 1 FROM outbox WHERE id <= $1 AND said_at IS NULL LIMIT 1"
_WAITING: Final = """
SELECT id, topic, partition, key, value, headers FROM outbox WHERE topic = ANY($1::text[]) AND said_at IS NULL AND id > $2 ORDER BY id LIMIT 500"""

POLL_S: Final = 0.02


def channel(schema: str) -> str:
    """The NOTIFY channel that wakes the relay of this schema."""
    return f"outbox_{schema}"


def columns(messages: Sequence[Message]) -> tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]:
    """The five arrays of `unnest` (topic, partition, key, value, headers) for a statement that appends on the side."""
    return (
        [one.topic for one in messages],
        [one.partition for one in messages],
        [one.key for one in messages],
        [one.value for one in messages],
        [pack_headers(one.headers) for one in messages],
    )


async def said(database: Database, within_s: float) -> bool:
    """Whether all that is committed now was published, waited for so long; false too if PostgreSQL goes away meanwhile.

    Without a relay that was heard of in the last 10 s nobody is waited for.
    """
    try:
        last = await database.fetchrow(_LAST)
        for _ in range(1 + round(within_s / POLL_S)):
            if last is None or not await database.fetchrow(_WAITS, last["id"]):
                return True
            if not last["has_relay"]:
                return False
            await asyncio.sleep(POLL_S)
    except Unavailable:
        logger.info("what was committed is not known to be published yet")
    return False


async def waiting(database: Database, topics: Collection[str]) -> AsyncIterator[list[Message]]:
    """All that waits to be published in these topics, in its order, some hundreds at a time."""
    last = 0
    while rows := await database.fetch(_WAITING, list(topics), last):
        last = rows[-1]["id"]
        yield [message_of(row) for row in rows]


async def append(connection: Connection, schema: str, messages: Sequence[Message], *, wake: bool = True) -> None:
    """Have these messages published, in this order, once the connection's transaction commits.

    `wake` makes the relay look at once; without it, within a second. Waking costs a lock that commits queue for, so
    a hot path that nobody waits for does without.
    """
    if not messages:
        return
    if not connection.is_in_transaction():
        raise RuntimeError("an outbox row belongs into the transaction that it tells of")
    await connection.execute(_APPEND, *columns(messages))
    if wake:
        await connection.execute("SELECT pg_notify($1, '')", channel(schema))


def pack_headers(headers: Headers) -> bytes:
    """Record headers as one value."""
    return wire.pack(headers)


def message_of(row: Row) -> Message:
    """The message in a row of the outbox."""
    headers: Headers = tuple((name, value) for name, value in wire.unpack(row["headers"], HEADERS_MAX))
    return Message(row["topic"], row["partition"], row["key"], row["value"], headers)


def waves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Cut rows into runs that may be published at once: in none is a key, or a transaction, named twice."""
    wave: list[Row] = []
    seen: set[object] = set()
    for row in rows:
        place, xid = (row["topic"], row["partition"], row["key"]), row["xid"]
        if place in seen or xid in seen:
            yield wave
            wave, seen = [], set()
        wave.append(row)
        seen |= {place, xid}
    if wave:
        yield wave
