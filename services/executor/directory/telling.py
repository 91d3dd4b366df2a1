"""Whoever commits that a right is over tells the log before answering, and does not leave it to a relay, which may stand still.

Only what grows may be said out of turn: a revocation, an epoch key, and what is true of a token, whose record has a version and whose
readers never go back. The same rows stay in the outbox, so a crash in between loses nothing, and of a token the newest comes last.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from shared.contracts.topics import KEYS, REVOCATIONS, TOKENS
from shared.messaging.log import Log, Message
from shared.postgres.outbox import append, waiting
from shared.postgres.pool import Connection, Database

OUT_OF_TURN: Final = frozenset((REVOCATIONS, KEYS, TOKENS))

Tell = Callable[[Sequence[Message]], Awaitable[None]]
"""Returns once what may be said out of turn is acknowledged; `LogUnavailable` if it is not: committed, and not known to be told."""


def at_once(log: Log) -> Tell:
    """Of who has a log: says it now."""

    async def tell(said: Sequence[Message]) -> None:
        await asyncio.gather(*(log.append(one) for one in said if one.topic in OUT_OF_TURN))

    return tell


async def in_turn(_: Sequence[Message]) -> None:
    """Of who has no log: leaves it to the relay."""


@asynccontextmanager
async def telling(database: Database, tell: Tell) -> AsyncIterator[tuple[Connection, list[Message]]]:
    """A transaction, and what it says, to be added to; left only when that is told.

    One that says nothing found done what it came for, perhaps by a try that could not tell it: that is told then.
    """
    said: list[Message] = []
    async with database.transaction() as connection:
        yield connection, said
        await append(connection, database.schema, said)
    if said:
        await tell(said)
    else:
        await tell_waiting(database, tell)


async def tell_waiting(database: Database, tell: Tell, topics: Collection[str] = OUT_OF_TURN) -> None:
    """Tell all that was committed and waits to be published in these topics, whoever could not tell it."""
    async for said in waiting(database, topics):
        await tell(said)
