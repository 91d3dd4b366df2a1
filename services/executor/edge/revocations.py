"""Which logins are over before their time, as `executor.revocations` tells it: so a log-out counts within a second."""

from collections import OrderedDict
from typing import Final

from shared.contracts.directory import REVOCATIONS_CODEC, LoginRevoked, RevocationsTold
from shared.contracts.people import LoginClaims
from shared.contracts.topics import REVOCATIONS
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Followed, Projection

KEPT_S: Final = 3600.0
"""More than the 15 minutes for which an edge trusts what it looked up; after them PostgreSQL says the same."""


class RevocationTail(Followed):
    """Knows what was revoked during the last hour. See `edge.logins.Revocations`."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._logins: OrderedDict[str, float] = OrderedDict()  # when it was heard of
        self._users: OrderedDict[int, tuple[float, int]] = OrderedDict()  # ... and the first epoch that is not over
        self._clock = clock
        self._told_at = clock.monotonic()
        super().__init__(Projection(log, REVOCATIONS, self._apply, dead_letters, clock))

    def is_revoked(self, claims: LoginClaims) -> bool:
        """Whether this login, or all logins of its user's epoch, were ended."""
        if claims.login in self._logins:
            return True
        known = self._users.get(claims.user)
        return known is not None and claims.epoch < known[1]

    def age(self) -> float:
        """Seconds since it was last known that nothing is missing here: the log answered, and the relays' leader said so, or we began
        (no login was trusted before)."""
        return max(self._projection.fetched_age(), self._clock.monotonic() - self._told_at)

    def _apply(self, record: Record) -> None:
        body = REVOCATIONS_CODEC.decode(record).body
        now = self._clock.monotonic()
        if isinstance(body, RevocationsTold):
            self._told_at = now
        if not isinstance(body, LoginRevoked):
            return
        if body.what == "login":
            self._logins[body.login] = now
            self._logins.move_to_end(body.login)
        else:
            _, epoch = self._users.get(body.user, (now, 0))
            self._users[body.user] = (now, max(epoch, body.epoch))
            self._users.move_to_end(body.user)
        self._forget(now - KEPT_S)

    def _forget(self, before: float) -> None:
        while self._logins and next(iter(self._logins.values())) < before:
            self._logins.popitem(last=False)
        while self._users and next(iter(self._users.values()))[0] < before:
            self._users.popitem(last=False)
