"""Which logins are over before their time, as `executor.revocations` tells it: so a log-out counts within a second."""

import math
from typing import Final

from cachetools import TTLCache

from shared.contracts.directory import REVOCATIONS_CODEC, LoginRevoked, RevocationsTold
from shared.contracts.people import LoginClaims
from shared.contracts.topics import REVOCATIONS
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Followed, Projection

KEPT_S: Final = 3600.0
"""More than the 15 minutes for which an edge trusts what it looked up; after them PostgreSQL says the same."""
DRIFT: Final = 0.01
"""By so much, at most, the clocks of PostgreSQL and ours are taken to go apart; it bounds how long a clock that was set counts as a late word."""


class Word:
    """When it was last said that nothing is missing, by our own clock.

    The words carry PostgreSQL's time, which need not be ours. How much later than the quickest one a word came is known all the same:
    one that waited (we stood still, or were cut off) says nothing of the time that it waited, and one that came before nothing at all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest_us = -1
        self._quickest_s = math.inf  # of our clock's reading less theirs
        self._heard_at = self._said_at = clock.monotonic()

    def age(self) -> float:
        """Seconds since it was said; since we began, before the first."""
        return self._clock.monotonic() - self._said_at

    def heard(self, at_us: int) -> None:
        """A word came: everything of before this time is told."""
        if at_us <= self._newest_us:
            return
        now, at_s = self._clock.monotonic(), at_us / 1e6
        self._quickest_s = min(now - at_s, self._quickest_s + DRIFT * (now - self._heard_at))
        self._newest_us, self._heard_at, self._said_at = at_us, now, at_s + self._quickest_s


class RevocationTail(Followed):
    """Knows what was revoked during the last hour. See `edge.login_check.Revocations`."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._logins: TTLCache[str, bool] = TTLCache(math.inf, KEPT_S, timer=clock.monotonic)
        self._users: TTLCache[int, int] = TTLCache(math.inf, KEPT_S, timer=clock.monotonic)  # the first epoch that is not over
        self._word = Word(clock)
        super().__init__(Projection(log, REVOCATIONS, self._apply, dead_letters, clock))

    def is_revoked(self, claims: LoginClaims) -> bool:
        """Whether this login, or all logins of its user's epoch, were ended."""
        if claims.login in self._logins:
            return True
        return claims.epoch < self._users.get(claims.user, 0)

    def fetched_age(self) -> float:
        """Seconds since the log last answered."""
        return self._projection.fetched_age()

    def age(self) -> float:
        """Seconds since it was last known that nothing is missing here: the log answered, and the relays' leader said so, or we began
        (no login was trusted before)."""
        return max(self._projection.fetched_age(), self._word.age())

    def _apply(self, record: Record) -> None:
        body = REVOCATIONS_CODEC.decode(record).body
        if isinstance(body, RevocationsTold):
            self._word.heard(body.at_us)
        if not isinstance(body, LoginRevoked):
            return
        if body.what == "login":
            self._logins[body.login] = True
        else:
            self._users[body.user] = max(self._users.get(body.user, 0), body.epoch)
