"""One installation, one `SLUICE_SECRET_KEY`: an executor with another one would take partitions whose steps it cannot believe,
and make epoch keys that nobody else can open. So it is refused before it joins.

PostgreSQL keeps a fingerprint (an HMAC under the key). Changing the key means to have both in the ring for a while.
"""

from collections.abc import Sequence
from typing import Final

from shared.kernel.ids import derived_bytes
from shared.kernel.variables import Misconfigured, variable
from shared.postgres.pool import Database


class SecretKeyDiffers(Misconfigured):
    """The installation has another `SLUICE_SECRET_KEY`."""

    code = "E_SECRET_KEY_DIFFERS"

    def __init__(self) -> None:
        super().__init__(
            f"{variable('secret_key')}: the executors of this installation have another one; to change it, give the other one in "
            f"{variable('secret_key_previous')} (if it is lost: `sluice keys accept-secret`, which ends all logins)"
        )


_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sluice secret ' || $1, 0))"
_NOTED: Final = "SELECT fingerprint FROM secret_check"
_KEEP: Final = """
INSERT INTO secret_check (fingerprint) VALUES ($1) ON CONFLICT (one) DO UPDATE SET fingerprint = excluded.fingerprint"""


async def keep_to_one_secret(database: Database, ring: Sequence[bytes]) -> None:
    """Note the first key of the ring as the installation's, if the one that is noted is in the ring, or none is.

    Raises:
        SecretKeyDiffers: the installation has another one.
        Unavailable: PostgreSQL is away.
    """
    prints = [_fingerprint(one) for one in ring]
    async with database.transaction() as connection:
        await connection.execute(_LOCK, database.schema)
        noted = await connection.fetchval(_NOTED)
        if noted is not None and noted not in prints:
            raise SecretKeyDiffers
        if noted != prints[0]:
            await connection.execute(_KEEP, prints[0])


async def refuse_another_secret(database: Database, ring: Sequence[bytes]) -> None:
    """For who only passes by: `SecretKeyDiffers` if the installation has one that is not in the ring. Nothing is noted."""
    noted = await database.fetchval(_NOTED)
    if noted is not None and noted not in [_fingerprint(one) for one in ring]:
        raise SecretKeyDiffers


async def accept_secret(database: Database, secret: bytes) -> None:
    """Take this key as the installation's, whatever it had."""
    async with database.transaction() as connection:
        await connection.execute(_LOCK, database.schema)
        await connection.execute(_KEEP, _fingerprint(secret))


def _fingerprint(secret: bytes) -> bytes:
    return derived_bytes(secret, "the secret of this installation")
