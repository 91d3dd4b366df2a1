"""The workers' epoch keys: made every five minutes by any of them, open for fifteen, then destroyed (architecture §4.10).

A private half is known to the workers only: in memory, and in PostgreSQL wrapped under `SLUICE_SECRET_KEY`, so that
whoever takes a session over can open what was sealed before. The public half is told in the transaction that keeps the
private one: nobody can seal to a key that no worker has.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.executor.common.sealing import mark, marking_key, new_private_key, open_sealed, private_key, public_half
from services.executor.directory.events import key_published
from services.executor.directory.telling import Tell, in_turn, tell_waiting, telling
from shared.contracts.directory import KEY_OPEN_AGES, KEY_SEAL_AGES, KEY_SKEW_US, KeyPublished
from shared.contracts.errors import BadSeal
from shared.contracts.steps import Sealed
from shared.contracts.topics import KEYS
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import random_id
from shared.messaging.log import LogUnavailable, Message
from shared.postgres.pool import Connection, Database, Row

logger = logging.getLogger(__name__)

SECOND_US: Final = 1_000_000
AGE_S: Final = 300.0
EVERY_S: Final = 5.0
RETRY_S: Final = 1.0
NONCE: Final = 12
UNKNOWN_S: Final = 30.0  # for which an epoch that PostgreSQL does not know is not asked for again
UNKNOWN_MAX: Final = 256

_INSERT: Final = "INSERT INTO epoch_keys (epoch, wrapped, made_us, open_until_us) VALUES ($1, $2, $3, $4)"
_DESTROY: Final = "DELETE FROM epoch_keys WHERE open_until_us <= $1"
_YOUNG: Final = "SELECT epoch, wrapped, made_us FROM epoch_keys WHERE made_us > $1 AND made_us <= $2 ORDER BY made_us DESC"
"""One from ahead of us is no reason to wait."""
_OVER: Final = "SELECT EXISTS (SELECT FROM epoch_keys WHERE open_until_us <= $1)"
_FIND: Final = "SELECT wrapped, open_until_us FROM epoch_keys WHERE epoch = $1"


@dataclass(frozen=True, slots=True)
class _Private:
    key: X25519PrivateKey
    marking: bytes
    open_until_us: int


class EpochKeys:
    """Opens what was sealed (`SealOpener`); `run` makes and destroys keys, one worker at a time. `age_s`: how old the newest one
    gets; it is sealed to for twice as long, and opened for three times."""

    def __init__(
        self, database: Database, secret_key: bytes, clock: Clock, previous: Sequence[bytes] = (), *, age_s: float = AGE_S,
        tell: Tell = in_turn,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._ring = tuple(_wrapping(one) for one in (secret_key, *previous))
        self._age_us = round(age_s * SECOND_US)
        self._every_s = min(EVERY_S, age_s / 5)
        self._tell = tell
        self._privates: dict[str, _Private] = {}
        self._unknown: TTLCache[str, bool] = TTLCache(UNKNOWN_MAX, UNKNOWN_S, timer=clock.monotonic)
        self._newest_us = self._ahead_us = 0
        self._wanted = asyncio.Event()

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        """See `SealOpener.open`; `Unavailable` if the key is not here yet and PostgreSQL is away."""
        return open_sealed((await self._private(sealed.epoch)).key, sealed, session, command)

    async def mark(self, epoch: str, *parts: bytes) -> str:
        """See `SealOpener.mark`; `Unavailable` if the key is not here yet and PostgreSQL is away."""
        return mark((await self._private(epoch)).marking, *parts)

    async def _private(self, epoch: str) -> _Private:
        private = self._privates.get(epoch) or await self._find(epoch)
        if private is None or private.open_until_us <= self._now_us():
            raise BadSeal("no such key any more")
        return private

    def age(self) -> float:
        """Seconds since the newest key was made that this worker can open, as far as it knows."""
        return max(0, self._now_us() - self._newest_us) / SECOND_US

    @property
    def young(self) -> bool:
        """Whether the newest key that this worker can open is one that may still be sealed to."""
        return self.age() * SECOND_US < KEY_SEAL_AGES * self._age_us

    async def run(self) -> None:
        """Keep a young key there, destroy old ones; for as long as a worker lives.

        Begins with a new one: the log may be another than the last key was told in.
        """
        started = False
        while True:
            try:
                await self.renew(force=not started)
                await tell_waiting(self._database, self._tell, (KEYS,))  # of a worker that could not
                started = True
            except Unavailable as away:
                started = started or isinstance(away, LogUnavailable)  # then one is made, and will be told
                logger.warning("epoch keys wait: %s", away)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s if started else RETRY_S):
                    await self._wanted.wait()
            self._wanted.clear()

    async def renew(self, *, force: bool = False) -> None:
        """Make a key if the newest that can be opened here is old, or if forced; destroy those that may not be opened any more.

        It is told before this returns; `LogUnavailable` if it is not known to be.
        """
        now = await self._bounded_now()
        for epoch in [epoch for epoch, private in self._privates.items() if private.open_until_us <= now]:
            del self._privates[epoch]
        if not force and self._has_young(await self._database.fetch(*self._young(now))) and not await self._database.fetchval(_OVER, now):
            return
        async with telling(self._database, self._tell) as (connection, said):
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sluice keys ' || $1, 0))", self._database.schema)
            await connection.execute(_DESTROY, now)
            young = await connection.fetch(*self._young(now))
            if force or not self._has_young(young):
                said.append(await self._make(connection, max(now, *(row["made_us"] + 1 for row in young), 0)))

    def _now_us(self) -> int:
        return self._clock.now_us() - self._ahead_us

    async def _bounded_now(self) -> int:
        now = self._clock.now_us()
        bounded = await self._database.bounded(now)
        self._ahead_us = now - bounded
        return bounded

    def _young(self, now_us: int) -> tuple[str, int, int]:
        return _YOUNG, now_us - self._age_us, now_us + KEY_SKEW_US

    def _has_young(self, rows: Sequence[Row]) -> bool:
        """Whether one of these can be opened here: one that was wrapped under a key that we have not is as good as none."""
        made = [row["made_us"] for row in rows if row["epoch"] in self._privates or self._unwrapped(row["wrapped"], row["epoch"])]
        self._newest_us = max((self._newest_us, *made))
        return bool(made)

    async def _make(self, connection: Connection, now_us: int) -> Message:
        epoch, private = random_id(), new_private_key()
        nonce = secrets.token_bytes(NONCE)
        wrapped = nonce + self._ring[0].encrypt(nonce, private, epoch.encode())
        key = KeyPublished(
            epoch=epoch,
            public=public_half(private),
            made_us=now_us,
            seal_until_us=now_us + KEY_SEAL_AGES * self._age_us,
            open_until_us=now_us + KEY_OPEN_AGES * self._age_us,
        )
        await connection.execute(_INSERT, epoch, wrapped, now_us, key.open_until_us)
        self._newest_us = max(self._newest_us, now_us)
        return key_published(key)

    async def _find(self, epoch: str) -> _Private | None:
        """The key as PostgreSQL has it. An epoch that it does not know is remembered for a while, to ask once."""
        if epoch in self._unknown:
            return None
        row = await self._database.fetchrow(_FIND, epoch)
        if row is None:
            self._unknown[epoch] = True
            return None
        key = self._unwrapped(row["wrapped"], epoch)
        if key is None:
            logger.error("epoch key %s was wrapped under another SLUICE_SECRET_KEY", epoch)
            self._unknown[epoch] = True
            self._wanted.set()  # edges should not have to wait for another one
            return None
        private = self._privates[epoch] = _Private(private_key(key), marking_key(key), row["open_until_us"])
        return private

    def _unwrapped(self, wrapped: bytes, epoch: str) -> bytes | None:
        for one in self._ring:
            with suppress(InvalidTag):
                return one.decrypt(wrapped[:NONCE], wrapped[NONCE:], epoch.encode())
        return None


def _wrapping(secret_key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sluice/epoch keys").derive(secret_key))
