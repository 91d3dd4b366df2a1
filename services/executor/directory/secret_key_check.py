"""One installation, one `SLUICE_SECRET_KEY`: an executor with another one would take partitions whose steps it cannot believe,
and make epoch keys that nobody else can open. So it is refused before it joins.

PostgreSQL keeps a fingerprint (an HMAC under the key). Changing the key means to have both in the ring for a while. That the old one is
in the ring of who starts is not enough: those that run have to take what it makes. So each says, for as long as it runs, which it takes,
and who starts makes with the first of its ring that all take.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from shared.kernel.errors import Unavailable
from shared.kernel.ids import derived_bytes, random_id
from shared.kernel.retrying import again_and_again
from shared.kernel.variables import Misconfigured, variable
from shared.postgres.pool import Database, Row

logger = logging.getLogger(__name__)

LEASE_S: Final = 30
"""Who has said nothing for so long does not run."""
BEAT_S: Final = 5.0


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
# No lease is longer: one that seems to be was written before PostgreSQL's clock was set back.
_RUNS: Final = f"until > clock_timestamp() AND until <= clock_timestamp() + interval '{LEASE_S} seconds'"
_OTHERS: Final = f"SELECT holder, makes, takes, until FROM secret_holders WHERE {_RUNS} AND holder <> $1"  # noqa: S608 -- a constant
# A fingerprint that somebody has deleted comes back.
_HOLD: Final = f"""
WITH noted AS (INSERT INTO secret_check (fingerprint) VALUES ($2) ON CONFLICT (one) DO NOTHING)
INSERT INTO secret_holders (holder, makes, takes, until) VALUES ($1, $2, $3, clock_timestamp() + interval '{LEASE_S} seconds')
ON CONFLICT (holder) DO UPDATE SET until = excluded.until"""  # noqa: S608 -- a constant
_FORGET: Final = f"DELETE FROM secret_holders WHERE NOT ({_RUNS})"  # noqa: S608 -- a constant
_GIVE_UP: Final = "DELETE FROM secret_holders WHERE holder = $1"


class SecretHolder:
    """An executor's word on the secrets that it takes: `begin` before it joins, `run` while it works, `give_up` at its end."""

    def __init__(self, database: Database, ring: Sequence[bytes]) -> None:
        prints = [_fingerprint(one) for one in ring]
        self._database = database
        self._ring = tuple(ring)
        self._values: tuple[Any, ...] = (random_id(), prints[0], prints)
        self._met: dict[str, datetime] = {}

    async def begin(self) -> bytes:
        """Which key of the ring to make with. If it is the first, it is noted as the installation's, and we are one that runs; with another
        one in the first place, begin anew.

        Raises:
            SecretKeyDiffers: the installation has another one, or those that run and we have none that all take.
            Unavailable: PostgreSQL is away, or somebody may still run who does not take ours: ask again.
        """
        holder, first, takes = self._values
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK, self._database.schema)
            noted = await connection.fetchval(_NOTED)
            if noted is not None and noted not in takes:
                raise SecretKeyDiffers
            await connection.execute(_FORGET)
            common = self._common(await connection.fetch(_OTHERS, holder))
            if common == self._ring[0]:
                await connection.execute(_KEEP, first)
                await connection.execute(_HOLD, holder, first, takes)
            return common

    async def run(self) -> None:
        """Say again and again that we run."""
        await again_and_again(self._hold, BEAT_S, lambda away: logger.info("the word on the secret key waits: %s", away))

    async def give_up(self) -> None:
        """We do not run any more."""
        with suppress(Unavailable):  # then it is over by itself
            await self._database.execute(_GIVE_UP, self._values[0])

    async def _hold(self) -> None:
        await self._database.execute(_HOLD, *self._values)

    def _common(self, others: Sequence[Row]) -> bytes:
        """The first of the ring that all others take."""
        _, first, takes = self._values
        apart = [one for one in others if first not in one["takes"] or one["makes"] not in takes]
        if not apart:
            return self._ring[0]
        if not any(one["until"] > self._met.get(one["holder"], one["until"]) for one in apart):
            self._met = {one["holder"]: one["until"] for one in apart}  # killed lately, or alive: whoever lives says so again
            raise Unavailable(f"an executor that does not take this {variable('secret_key')} ran here less than {LEASE_S} s ago")
        for secret, fingerprint in zip(self._ring, takes, strict=True):
            if all(fingerprint in one["takes"] and one["makes"] in takes for one in others):
                return secret
        raise SecretKeyDiffers


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
