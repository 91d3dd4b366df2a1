"""Which hash is verified for a name: the account's own, and for a name that nobody has one of the kinds that accounts here have.

Otherwise the time of an answer would tell who there is, as soon as some hashes came from elsewhere. The kind is drawn by a
keyed hash of the name, so that it is the same each time and nobody can reckon it, with the shares of the installation's
accounts. A kind whose share falls (its accounts log in and get ours) only loses names: as an account would, a name goes from
a foreign kind to ours, never back.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Final

from services.executor.directory.hashing import HashPool
from services.executor.rules.identifiers import canonical
from services.executor.rules.passwords import Kind, PasswordHash, dummy_of, kind_of, parse_hash
from shared.kernel.clock import Clock
from shared.postgres.pool import Database, Row

KINDS_MAX: Final = 64
REST: Final = 100
MIN_AGE_S: Final = 30.0
"""The shares are read again after that, sooner when an account is met of a kind that was not there, but never sooner than after a
hundred times as long as reading them took: there may be a million accounts, and more kinds than are kept."""

_STORED: Final = "SELECT password, password_as_typed FROM users WHERE pk = $1"
_SHARES: Final = """
SELECT password_kind, count(*) AS accounts FROM users WHERE password_kind IS NOT NULL
GROUP BY password_kind ORDER BY accounts DESC, password_kind LIMIT $1"""
_NOBODY: Final = -1


class HashKinds:
    """Chooses what a password is verified against. `key`: 32 bytes, the same in every process of the installation."""

    def __init__(self, database: Database, hashes: HashPool, clock: Clock, key: bytes) -> None:
        self._database = database
        self._clock = clock
        self._key = key
        self._target = hashes.target
        self._dummies: Mapping[Kind, PasswordHash] = {hashes.target: hashes.dummy}
        self._shares: Mapping[Kind, int] = {hashes.target: 1}
        self._again_s = 0.0
        self._soonest_s = 0.0
        self._reading = False

    async def expected(self, user: int | None, name: str) -> PasswordHash:
        """What will be verified, before anything is counted: it needs a place, and foreign hashes have few.

        Where all hashes are ours, no account is looked at: that is one statement less a log-in.
        """
        if self._clock.monotonic() >= self._again_s and not self._reading:
            await self._read()
        drawn = self.drawn(name)
        if not any(dummy.is_foreign(self._target) for dummy in self._dummies.values()):
            return drawn
        row = await self._database.fetchrow(_STORED, _NOBODY if user is None else user)
        return (row and self.of(row)) or drawn

    def of(self, row: Row) -> PasswordHash | None:
        """The account's own hash, from `password` and `password_as_typed`; None if it has none."""
        found = parse_hash(row["password"], as_typed=row["password_as_typed"]) if row["password"] else None
        if found is not None and found.cost not in self._shares:
            self._again_s = min(self._again_s, self._soonest_s)  # somebody was imported meanwhile
        return found

    def drawn(self, name: str) -> PasswordHash:
        """What is verified for a name without a hash: each kind throws its lot, weighed by its share, and the least wins."""
        lots = {kind: self._lot(kind, name) / share for kind, share in self._shares.items()}
        return self._dummies[min(lots, key=lots.__getitem__)]

    def _lot(self, kind: Kind, name: str) -> float:
        thrown = hashlib.blake2b(f"{kind.label}\0{canonical(name)}".encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        return -math.log((int.from_bytes(thrown) + 1) / 2**64)

    async def _read(self) -> None:
        self._reading = True
        try:
            began = self._clock.monotonic()
            rows = await self._database.fetch(_SHARES, KINDS_MAX)
            took = self._clock.monotonic() - began
        finally:
            self._reading = False
        shares: dict[Kind, int] = {}
        for row in rows:
            if kind := kind_of(row["password_kind"]):
                shares[kind] = shares.get(kind, 0) + row["accounts"]
        self._shares = shares or {self._target: 1}
        self._dummies = {kind: self._dummies.get(kind) or dummy_of(kind) for kind in self._shares}
        self._soonest_s = self._clock.monotonic() + REST * took
        self._again_s = max(self._soonest_s, self._clock.monotonic() + MIN_AGE_S)
