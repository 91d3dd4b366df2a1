"""Password hashes, off the event loop: ours in one lane, dearer ones that came from elsewhere in a small one of their own.

The hash is what a login costs (21 to 29 ms of a core), so admission comes first: a caller takes a `Place` before it
counts or asks anything, and is sent away at once when all are taken. A foreign hash may take thirty times as long: whoever
guesses at accounts that have one keeps only these waiting.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from argon2.exceptions import VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from services.executor.directory.lanes import Lane, ObserveWait
from services.executor.rules.passwords import TARGET, Argon2Hash, Cost, PasswordHash, dummy_of, normalised
from shared.kernel.clock import Clock

FIRST_GUESS_S: Final = 0.025
FOREIGN_GUESS_S: Final = 0.5
FOREIGN_SHARE: Final = 4
"""Of so many cores, foreign hashes may keep one busy."""
SALT: Final = 16
DIGEST: Final = 32


class HashPool:
    """Hashes and verifies passwords on all cores; made once per process, closed with it."""

    def __init__(
        self,
        clock: Clock,
        target: Cost = TARGET,
        *,
        workers: int | None = None,
        waiting: int | None = None,
        observe_wait: ObserveWait = lambda seconds: None,
    ) -> None:
        count = workers or len(os.sched_getaffinity(0))
        self.target: Final = target
        self.dummy: Final = dummy_of(target)
        """What is verified for nobody where nothing else is drawn."""
        self._own = Lane("hash", clock, count, FIRST_GUESS_S, observe_wait, waiting)
        self._foreign = Lane("foreign-hash", clock, max(1, count // FOREIGN_SHARE), FOREIGN_GUESS_S, observe_wait, waiting)

    @contextmanager
    def place(self, stored: PasswordHash | None = None) -> Iterator["Place"]:
        """A place for some hashes, one after the other, in the lane of the one that is to be verified; `Busy` if it is full."""
        lane = self._foreign if stored is not None and stored.is_foreign(self.target) else self._own
        with lane.place():
            yield Place(self, lane)

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._own.close()
        self._foreign.close()

    async def run(self, verify_or_hash: Callable[[], "bool | str"]) -> "bool | str":
        """Run one piece of hashing in our own lane."""
        return await self._own.run(verify_or_hash)


class Place:
    """The right to have hashes computed now."""

    def __init__(self, pool: HashPool, lane: Lane) -> None:
        self._pool = pool
        self._lane = lane

    async def verify(self, stored: PasswordHash | None, password: str) -> bool:
        """Whether this is the password; with no stored hash the same work for a sure no.

        The password is as typed; `BadPassword` if it cannot be one.
        """
        if stored is None:
            await self._lane.run(lambda: verify_password(self._pool.dummy, password))
            return False
        return bool(await self._lane.run(lambda: verify_password(stored, password)))

    async def hash(self, password: str) -> str:
        """The hash of a password as typed, at the target cost; `BadPassword` if it cannot be one."""
        return str(await self._lane.run(lambda: hash_password(password, self._pool.target)))

    async def upgraded(self, stored: PasswordHash, password: str) -> str | None:
        """What shall stand in place of a hash that this password has just proved; None if it is as it should be."""
        if stored.is_below(self._pool.target):
            return await self.hash(password)
        if not stored.as_typed:
            return None
        # As good as one of ours, and of the same form: only what is known of it changes.
        return stored.text if normalised(password) == password else await self.hash(password)


def hash_password(password: str, cost: Cost) -> str:
    """The argon2id hash of a password in PHC string format, with a fresh salt. Blocks for as long as the cost says."""
    return hash_secret(
        normalised(password).encode(),
        secrets.token_bytes(SALT),
        time_cost=cost.passes,
        memory_cost=cost.memory_kib,
        parallelism=cost.lanes,
        hash_len=DIGEST,
        type=Type.ID,
    ).decode()


def verify_password(stored: PasswordHash, password: str) -> bool:
    """Whether the stored hash is this password's: one hash, of the form that it is a hash of. Lets other threads run."""
    form = normalised(password)
    if stored.as_typed:
        form = password
    if isinstance(stored, Argon2Hash):
        try:
            return verify_secret(stored.text.encode(), form.encode(), Type.ID)
        except VerificationError:
            return False
    digest = hashlib.pbkdf2_hmac(stored.cost.digest, form.encode(), stored.salt, stored.cost.iterations)
    return hmac.compare_digest(digest, stored.digest)
