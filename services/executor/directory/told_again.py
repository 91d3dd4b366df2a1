"""Says again what `executor.revocations` lost: the logins that ended so lately that edges may still believe them (architecture §4.13)."""

from typing import Final

from services.executor.directory.events import login_revoked
from shared.kernel.clock import Clock
from shared.postgres.outbox import append
from shared.postgres.pool import Database

LATELY_US: Final = 3600 * 1_000_000
"""As long as the topic keeps them; an edge looks a login up after a quarter of that."""
_ENDED: Final = "SELECT id, user_pk, ended_us, end_reason FROM logins WHERE ended_us > $1 ORDER BY ended_us"


async def revocations_again(database: Database, clock: Clock) -> None:
    """Put those of the last hour into the outbox once more; to hear of one twice changes nothing."""
    async with database.transaction() as connection:
        rows = await connection.fetch(_ENDED, clock.now_us() - LATELY_US)
        said = [login_revoked(row["id"], row["user_pk"], row["ended_us"], row["end_reason"] or "") for row in rows]
        await append(connection, database.schema, said)
