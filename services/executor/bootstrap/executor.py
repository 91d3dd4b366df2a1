"""The executor as a process runs it: one role, or both."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from services.executor.bootstrap.edge_role import EdgeRole
from services.executor.bootstrap.worker_role import WorkerRole
from services.executor.directory.bootstrap_admin import ensure_admin
from services.executor.directory.hashing import HashPool
from services.executor.directory.secret_key_check import SecretHolder
from services.executor.directory.users import Users
from services.executor.settings import Settings
from shared.kernel.clock import Clock
from shared.kernel.retrying import insist
from shared.kernel.service import StartOver
from shared.kernel.tasks import failure_of
from shared.kernel.variables import variable
from shared.messaging.dead_letters import DeadLetters
from shared.postgres.pool import Database
from shared.postgres.probe import WriteProbe

logger = logging.getLogger(__name__)
NAME: Final = "executor"
RETRY_S: Final = 1.0


class Executor:
    """The built service (`shared.kernel.service.Service`)."""

    name = NAME

    def __init__(
        self, settings: Settings, database: Database, hashes: HashPool, users: Users, clock: Clock,
        worker: WorkerRole | None, edge: EdgeRole | None, dead_letters: DeadLetters,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        self._hashes = hashes
        self._users = users
        self._clock = clock
        self._worker = worker
        self._edge = edge
        self._dead_letters = dead_letters
        self._chores: list[asyncio.Task[None]] = []
        self._probe = WriteProbe(database, clock)
        self._secret = SecretHolder(database, settings.secrets)
        self._has_one_secret = False

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """See `Service.needs`."""
        return {"postgres": self._prepare}

    async def start(self) -> None:
        """Work as far as what it depends on is there; the rest follows when that comes."""
        chores: dict[str, Awaitable[None]] = {"first administrator": self._first_administrator(), "secret key": self._secret.run()}
        if self._worker:
            await self._worker.start()
            chores |= self._worker.chores()
        if self._edge:
            await self._edge.start()
            chores |= self._edge.chores()
        self._chores = [asyncio.ensure_future(chore) for chore in chores.values()]
        for name, task in zip(chores, self._chores, strict=True):
            task.set_name(f"executor {name}")

    async def stop(self) -> None:
        """See `Service.stop`."""
        if self._edge:
            await self._edge.stop()
        if self._worker:
            await self._worker.stop()
        for task in self._chores:
            task.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._dead_letters.close()
        self._hashes.close()
        await self._secret.give_up()
        await self._database.close()

    def routes(self) -> Iterable[Any]:
        """See `Service.routes`; a worker has none."""
        return self._edge.routes() if self._edge else ()

    def readiness(self) -> Mapping[str, bool]:
        """What both roles say."""
        roles = (self._worker, self._edge)
        return {name: good for role in roles if role for name, good in role.readiness().items()}

    def notes(self) -> Mapping[str, object]:
        """See `Service.notes`: what the worker has to say."""
        return self._worker.notes() if self._worker else {}

    @property
    def failure(self) -> BaseException | None:
        """See `Service.failure`."""
        roles = (self._worker, self._edge)
        return failure_of(*self._chores) or next((role.failure for role in roles if role and role.failure), None)

    async def _prepare(self) -> None:
        if not self._has_one_secret:  # readiness asks again and again
            await self._database.prepare()
            secret = await self._secret.begin()
            if not hmac.compare_digest(secret, self._settings.secrets[0]):
                logger.warning(
                    "%s: executors that run here do not take it yet; until this one is started again, it makes with one of %s",
                    variable("secret_key"), variable("secret_key_previous"),
                )  # fmt: skip
                raise StartOver(self._settings.making_with(secret))
            self._has_one_secret = True
        await self._probe.reach()

    async def _first_administrator(self) -> None:
        """Make `akadmin` if a password or a token for it was given; nobody sits here to be told a made-up one."""
        settings = self._settings
        if settings.bootstrap_password is None:
            return
        password, token = settings.bootstrap_password.get_secret_value(), settings.bootstrap_token
        make = partial(
            ensure_admin, self._database, self._users, self._clock, password=password,
            token=token.get_secret_value() if token else None, email=settings.bootstrap_email,
        )  # fmt: skip
        await insist(make, RETRY_S, told=lambda away: logger.warning("the first administrator waits: %s", away))
