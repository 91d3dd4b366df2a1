"""Password hashes, off the event loop, in a pool that says "busy" before it says "wait for ever".

The hash is what a login costs (21 to 29 ms of a core), so admission comes first: a caller takes a `Place` before it
counts or asks anything, and is sent away at once when all are taken (security reference 3.4).
"""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from argon2.exceptions import VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from services.executor.application.ports import Busy
from services.executor.domain.passwords import TARGET, Argon2Hash, Cost, PasswordHash, normalised, parse_hash
from shared.kernel.clock import Clock

WAIT_S: Final = 1.0
"""How long a password may wait for its hash, as far as one can tell at admission: an answer has to come within 2 s, and a hash
whose visitor has gone is work for nobody, which makes the others late in turn."""
FIRST_GUESS_S: Final = 0.025
SALT: Final = 16
DIGEST: Final = 32

ObserveWait = Callable[[float], None]
"""Takes the seconds between admission to the threads and the start of the hash."""


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
        self._workers = count
        self._waiting = waiting
        self._lately_s = FIRST_GUESS_S
        self._taken = 0
        self._clock = clock
        self._observe_wait = observe_wait
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hash")
        self._dummy = parse_hash(hash_password(secrets.token_urlsafe(), target))

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place for some hashes, one after the other; `Busy` when it would have to wait too long."""
        if self._taken >= self._places():
            raise Busy
        self._taken += 1
        try:
            yield Place(self)
        finally:
            self._taken -= 1

    def _places(self) -> int:
        # As many as are done within the wait at the pace of lately: what a hash takes is the machine's to say.
        waiting = int(self._workers * WAIT_S / self._lately_s) if self._waiting is None else self._waiting
        return self._workers + waiting

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._threads.shutdown(cancel_futures=True)

    async def run(self, verify_or_hash: Callable[[], "bool | str"]) -> "bool | str":
        """Run one piece of hashing on a thread of the pool."""
        asked = self._clock.monotonic()

        def work() -> tuple["bool | str", float]:
            began = self._clock.monotonic()
            self._observe_wait(began - asked)
            return verify_or_hash(), self._clock.monotonic() - began

        done, took_s = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._lately_s += (max(took_s, 0.001) - self._lately_s) / 8
        return done

    @property
    def dummy(self) -> PasswordHash:
        """A hash of something that nobody knows, at the target cost: what is verified where there is no user."""
        if self._dummy is None:
            raise AssertionError("the target cost is out of what parses")
        return self._dummy


class Place:
    """The right to have hashes computed now."""

    def __init__(self, pool: HashPool) -> None:
        self._pool = pool

    async def verify(self, stored: PasswordHash | None, password: str) -> bool:
        """Whether this is the password; with no stored hash the same work for a sure no.

        The password is as typed; `BadPassword` if it cannot be one.
        """
        if stored is None:
            await self._pool.run(lambda: verify_password(self._pool.dummy, password))
            return False
        return bool(await self._pool.run(lambda: verify_password(stored, password)))

    async def hash(self, password: str) -> str:
        """The hash of a password as typed, at the target cost; `BadPassword` if it cannot be one."""
        return str(await self._pool.run(lambda: hash_password(password, self._pool.target)))


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
    """Whether the stored hash is this password's. Blocks for as long as its cost says; lets other threads run."""
    form = normalised(password)
    if isinstance(stored, Argon2Hash):
        try:
            return verify_secret(stored.text.encode(), form.encode(), Type.ID)
        except VerificationError:
            return False
    # Django hashes what was typed as it was typed; ours, as everywhere, goes second.
    for candidate in dict.fromkeys((password, form)):
        digest = hashlib.pbkdf2_hmac("sha256", candidate.encode(), stored.salt, stored.iterations)
        if hmac.compare_digest(digest, stored.digest):
            return True
    return False
