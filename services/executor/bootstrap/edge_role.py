"""Role `edge`: HTTP in and out, login check, the REST of the directory."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from services.executor.directory.login_lookup import PostgresLogins
from services.executor.directory.rest import UsersApi
from services.executor.directory.unlock_api import UnlockApi
from services.executor.directory.unlocking import Unlocking
from services.executor.directory.users import Users
from services.executor.edge.edge import Edge
from services.executor.edge.revocations import RevocationTail
from services.executor.edge.sealing_keys import SealingKeys
from services.executor.edge.settings import EdgeSettings
from services.executor.settings import Settings
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log
from shared.postgres.pool import Database
from shared.telemetry.ages import watch_ages
from shared.telemetry.metrics import metrics
from shared.web.token_projection import TokenProjection


class EdgeRole:
    """HTTP in and out."""

    def __init__(
        self, settings: Settings, log: Log, clock: Clock, database: Database, users: Users, secret: bytes, dead_letters: DeadLetters
    ) -> None:
        self._tokens = TokenProjection(log, dead_letters, clock)
        self._keys = SealingKeys(log, dead_letters, clock)
        self._revocations = RevocationTail(log, dead_letters, clock)
        told = EdgeSettings(
            (secret, *settings.previous_secrets),
            host_cookies=settings.cookie_host_prefix,
            same_site=settings.cookie_same_site,
            login_life=settings.login_life,
        )
        logins = PostgresLogins(database, clock, settings.login_life)
        self._edge = Edge(log, logins, self._revocations, self._keys, told, clock, self._tokens.user_of)
        self.hand_over = self._edge.hand_over
        unlock = UnlockApi(Unlocking(database, clock, settings.guess_limits), self._tokens)
        self._rest = (*UsersApi(users, self._tokens).routes(), *unlock.routes())

    async def start(self) -> None:
        """Read the topics that it follows, then listen for replies."""
        await self._tokens.start()
        await self._keys.start()
        await self._revocations.start()
        await self._edge.start()

    async def stop(self) -> None:
        """Stop following."""
        await self._edge.stop()
        await self._revocations.stop()
        await self._keys.stop()
        await self._tokens.stop()

    def chores(self) -> Mapping[str, Awaitable[None]]:
        """What runs beside it for as long as it lives."""
        return {"edge's ages": watch_ages(self._report_ages)}

    def routes(self) -> Iterable[Any]:
        """Visitors' routes and the directory's REST."""
        return [*self._edge.routes(), *self._rest]

    def readiness(self) -> Mapping[str, bool]:
        """The edge's own, and `tokens`: known to their end."""
        return {**self._edge.readiness(), "tokens": self._tokens.ready}

    @property
    def failure(self) -> BaseException | None:
        """Why following a topic, or listening, ended by itself."""
        return self._tokens.failure or self._keys.failure or self._revocations.failure or self._edge.failure

    def _report_ages(self) -> None:
        if (age_s := self._keys.age()) is not None:
            metrics().epoch_key_age("edge", age_s)
