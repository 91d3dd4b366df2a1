"""Is this browser logged in? Answered from the cookie and a tail of what ended, without Kafka or PostgreSQL (rule 13).

A login that this edge has not looked up for 15 minutes is looked up once (which also marks it claimed). When the tail of
the revocations is more than 5 s behind, or nobody has said for 5 s that it has them all, every answer is a look-up, kept for 5 s;
with neither, nobody is told anything.
"""

import asyncio
from typing import Final, Protocol

from cachetools import LRUCache

from services.executor.common.ports import Logins
from services.executor.rules.login_life import LoginLife
from shared.contracts.people import LoginClaims
from shared.kernel.clock import Clock

TAIL_AGE_S: Final = 5.0


class Revocations(Protocol):
    """The tail of `executor.revocations`."""

    def is_revoked(self, claims: LoginClaims) -> bool:
        """Whether this login, or its user's epoch, is over."""
        ...

    def age(self) -> float:
        """Seconds since it was last known that nothing is missing here."""
        ...

    def fetched_age(self) -> float:
        """Seconds since the log last answered."""
        ...


class LoginCheck:
    """Checks logins; remembers the newest `limit` of them."""

    def __init__(self, logins: Logins, revocations: Revocations, clock: Clock, limit: int, life: LoginLife) -> None:
        self._logins = logins
        self._revocations = revocations
        self._clock = clock
        self._life = life
        self._checked: LRUCache[tuple[str, int, int], float] = LRUCache(limit)
        self._asking: dict[tuple[str, int, int], asyncio.Task[bool]] = {}

    async def is_good(self, claims: LoginClaims) -> bool:
        """Whether this login still counts; `Unavailable` when there is nobody to say so."""
        now_us = self._clock.now_us()
        if (claims.expires_us is not None and claims.expires_us <= now_us) or self._life.is_too_old(claims.at_us, now_us):
            return False
        if self._revocations.is_revoked(claims):
            return False
        key = (claims.login, claims.user, claims.epoch)
        checked = self._checked.get(key)
        allowed = self._life.trusted_us / 1e6 if self._revocations.age() <= TAIL_AGE_S else TAIL_AGE_S
        if checked is not None and self._clock.monotonic() - checked <= allowed:
            return True
        return await self._look_up(key)

    async def _look_up(self, key: tuple[str, int, int]) -> bool:
        # One look-up for all requests that ask at the same moment.
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._logins.look_up(*key))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        good = await asyncio.shield(task)
        if good:
            self._checked[key] = self._clock.monotonic()
        else:
            self._checked.pop(key, None)
        return good

    def _forget(self, key: tuple[str, int, int], done: asyncio.Task[bool]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever still waits is told; nobody may be left to
