"""The workers' epoch keys: made every five minutes, open for fifteen, then destroyed (architecture §4.10).

A private half is known to the workers only: in memory, and in PostgreSQL wrapped under `SLUICE_SECRET_KEY`, so that
whoever takes a session over can open what was sealed before. The public half is told in the transaction that keeps the
private one: nobody can seal to a key that no worker has.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.executor.directory.events import key_published
from services.executor.sealing import mark, marking_key, new_private_key, open_sealed, private_key, public_half
from shared.contracts.directory import KEY_OPEN_US, KEY_SEAL_US, KEY_SKEW_US, KeyPublished
from shared.contracts.errors import BadSeal
from shared.contracts.steps import Sealed
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import random_id
from shared.postgres.outbox import append
from shared.postgres.pool import Connection, Database

logger = logging.getLogger(__name__)

SECOND_US: Final = 1_000_000
RENEW_US: Final = 300 * SECOND_US
EVERY: Final = 5.0  # s
RETRY: Final = 1.0  # s
NONCE: Final = 12
UNKNOWN_S: Final = 30.0  # for which an epoch that PostgreSQL does not know is not asked for again
UNKNOWN_MAX: Final = 256

_STATE: Final = """
SELECT coalesce(max(made_us) FILTER (WHERE made_us <= $2), 0) AS newest, coalesce(min(open_until_us), $1::bigint + 1) AS oldest
FROM epoch_keys"""
_INSERT: Final = "INSERT INTO epoch_keys (epoch, wrapped, made_us, open_until_us) VALUES ($1, $2, $3, $4)"
_DESTROY: Final = "DELETE FROM epoch_keys WHERE open_until_us <= $1"
_THERE: Final = "SELECT EXISTS (SELECT FROM epoch_keys WHERE made_us > $1 AND made_us <= $2)"  # one from ahead of us is no reason to wait
_FIND: Final = "SELECT wrapped, open_until_us FROM epoch_keys WHERE epoch = $1"


@dataclass(frozen=True, slots=True)
class _Private:
    key: X25519PrivateKey
    marking: bytes
    open_until_us: int


class EpochKeys:
    """Opens what was sealed (`SealOpener`); `run` makes and destroys keys, one worker at a time."""

    def __init__(self, database: Database, secret_key: bytes, clock: Clock, previous: Sequence[bytes] = ()) -> None:
        self._database = database
        self._clock = clock
        self._ring = tuple(_wrapping(one) for one in (secret_key, *previous))
        self._privates: dict[str, _Private] = {}
        self._unknown: OrderedDict[str, float] = OrderedDict()

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        """See `SealOpener.open`; `Unavailable` if the key is not here yet and PostgreSQL is away."""
        return open_sealed((await self._private(sealed.epoch)).key, sealed, session, command)

    async def mark(self, epoch: str, *parts: bytes) -> str:
        """See `SealOpener.mark`; `Unavailable` if the key is not here yet and PostgreSQL is away."""
        return mark((await self._private(epoch)).marking, *parts)

    async def _private(self, epoch: str) -> _Private:
        private = self._privates.get(epoch) or await self._find(epoch)
        if private is None or private.open_until_us <= self._clock.now_us():
            raise BadSeal("no such key any more")
        return private

    async def run(self) -> None:
        """Keep a young key there, destroy old ones; for as long as a worker lives.

        Begins with a new one: the log may be another than the last key was told in.
        """
        started = False
        while True:
            try:
                await self.renew(force=not started)
                started = True
            except Unavailable as away:
                logger.warning("epoch keys wait: %s", away)
            await asyncio.sleep(EVERY if started else RETRY)

    async def renew(self, *, force: bool = False) -> None:
        """Make a key if the newest is five minutes old, or if forced; destroy those that may not be opened any more."""
        now = self._clock.now_us()
        for epoch in [epoch for epoch, private in self._privates.items() if private.open_until_us <= now]:
            del self._privates[epoch]
        state = await self._database.fetchrow(_STATE, now, now + KEY_SKEW_US)
        if not force and state and state["newest"] > now - RENEW_US and state["oldest"] > now:
            return
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sluice keys ' || $1, 0))", self._database.schema)
            await connection.execute(_DESTROY, now)
            if force or not await connection.fetchval(_THERE, now - RENEW_US, now + KEY_SKEW_US):
                await self._make(connection, now)

    async def _make(self, connection: Connection, now_us: int) -> None:
        epoch, private = random_id(), new_private_key()
        nonce = secrets.token_bytes(NONCE)
        wrapped = nonce + self._ring[0].encrypt(nonce, private, epoch.encode())
        await connection.execute(_INSERT, epoch, wrapped, now_us, now_us + KEY_OPEN_US)
        key = KeyPublished(
            epoch=epoch,
            public=public_half(private),
            made_us=now_us,
            seal_until_us=now_us + KEY_SEAL_US,
            open_until_us=now_us + KEY_OPEN_US,
        )
        await append(connection, self._database.schema, [key_published(key)])

    async def _find(self, epoch: str) -> _Private | None:
        """The key as PostgreSQL has it. An epoch that it does not know is remembered for a while, to ask once."""
        now = self._clock.monotonic()
        if now - self._unknown.get(epoch, -UNKNOWN_S) < UNKNOWN_S:
            return None
        row = await self._database.fetchrow(_FIND, epoch)
        if row is None:
            self._forget_soon(epoch, now)
            return None
        key = self._unwrapped(row["wrapped"], epoch)
        if key is None:
            logger.error("epoch key %s was wrapped under another SLUICE_SECRET_KEY", epoch)
            self._forget_soon(epoch, now)
            return None
        private = self._privates[epoch] = _Private(private_key(key), marking_key(key), row["open_until_us"])
        return private

    def _unwrapped(self, wrapped: bytes, epoch: str) -> bytes | None:
        for one in self._ring:
            with suppress(InvalidTag):
                return one.decrypt(wrapped[:NONCE], wrapped[NONCE:], epoch.encode())
        return None

    def _forget_soon(self, epoch: str, now: float) -> None:
        self._unknown[epoch] = now
        while len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)


def _wrapping(secret_key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sluice/epoch keys").derive(secret_key))
