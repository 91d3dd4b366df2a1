"""Puts the executor together: the only file of the service that knows all its parts.

Role `worker`: sessions, orders, outbox relay, epoch keys, upkeep. Role `edge`: HTTP in and out, login check, the REST of the
directory. `both`: one process does it all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from services.executor.directory.bootstrap_admin import ensure_admin
from services.executor.directory.directory import SCHEMA, PostgresDirectory, open_directory
from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.events import revocations_told
from services.executor.directory.hashing import HashPool
from services.executor.directory.logins import PostgresLogins
from services.executor.directory.rest import UsersApi
from services.executor.directory.secret_key_check import keep_to_one_secret
from services.executor.directory.set_aside import PostgresSetAside
from services.executor.directory.telling import at_once
from services.executor.directory.tokens import tell_again, version_of
from services.executor.directory.told_again import revocations_again
from services.executor.directory.unlock_api import UnlockApi
from services.executor.directory.unlocking import Unlocking
from services.executor.directory.upkeep import Upkeep
from services.executor.directory.users import Users
from services.executor.edge.edge import Edge
from services.executor.edge.revocations import RevocationTail
from services.executor.edge.sealing_keys import SealingKeys
from services.executor.edge.settings import EdgeSettings
from services.executor.sessions.asking import Asking
from services.executor.sessions.crowd import Crowd
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.owner import GROUP
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.parts import Parts
from services.executor.sessions.retirements import Retirements
from services.executor.sessions.starts import Starts
from services.executor.sessions.staying import StayingWorker
from services.executor.sessions.worker import Worker
from services.executor.settings import Settings
from shared.contracts.topics import CATALOG_EVENTS, DEFINITIONS, KEYS, REVOCATIONS, SESSIONS, STATE, STEPS, TOKENS, TOPICS
from shared.flows.registry import registry
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_bytes
from shared.kernel.retrying import insist
from shared.kernel.tasks import failure_of
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, TopicPartition
from shared.messaging.watched import WatchedLog
from shared.postgres.log_ends import LogEnds, Remedy
from shared.postgres.pool import Database
from shared.postgres.probe import WriteProbe
from shared.postgres.relay import Relay
from shared.postgres.repeating import Repeating
from shared.telemetry.ages import watch_ages
from shared.telemetry.lag import watch_lag
from shared.telemetry.metrics import count_dead_letter, count_log_lost, metrics
from shared.web.token_projection import TokenProjection

logger = logging.getLogger(__name__)
NAME: Final = "executor"
_WATCHED: Final = tuple(name for name in TOPICS if name not in (SESSIONS, STATE, DEFINITIONS, CATALOG_EVENTS))
RETRY_S: Final = 1.0


async def build(settings: Settings, log: Log, clock: Clock) -> "Executor":
    """The executor on this log; `Misconfigured` without a database or a secret key."""
    if settings.database is None or settings.secret_key is None:
        missing = "database" if settings.database is None else "secret_key"
        raise Misconfigured(f"{variable(missing)}: the executor needs it")
    database = await open_directory(settings.database.get_secret_value(), size=settings.database_connections)
    secret = settings.secret_key.get_secret_value()
    hashes = HashPool(clock, settings.hash_target, observe_wait=lambda s: metrics().hash_wait(s))
    dead_letters = DeadLetters(log, NAME, clock, count_dead_letter)
    users = Users(database, hashes, clock, at_once(log))
    worker = WorkerRole(settings, log, clock, database, hashes, secret, dead_letters) if settings.role != "edge" else None
    edge = EdgeRole(settings, log, clock, database, users, secret, dead_letters) if settings.role != "worker" else None
    return Executor(settings, database, hashes, users, clock, worker, edge, dead_letters)


class WorkerRole:
    """Sessions, and what the directory does for them."""

    def __init__(
        self, settings: Settings, log: Log, clock: Clock, database: Database, hashes: HashPool, secret: bytes, dead_letters: DeadLetters
    ) -> None:
        limits = settings.guess_limits
        watched = WatchedLog(log)
        tell = at_once(watched)
        self._keys = EpochKeys(database, secret, clock, settings.previous_secrets, age_s=settings.epoch_key_seconds, tell=tell)
        self._upkeep = Upkeep(database, clock, limits, settings.login_life)
        self._relay = Relay(database, watched, clock, lease_s=settings.relay_lease_seconds, word=revocations_told)
        self._repeating = Repeating(database, log, TOKENS, version_of, lambda: tell_again(database, clock), dead_letters, clock)
        self._log = log
        self._retirements = Retirements(log, dead_letters, clock)
        asking = Asking(log, clock)
        parts = Parts(
            log=watched, directory=PostgresDirectory(database, hashes, clock, limits, secret=derived_bytes(secret, "guesses"), tell=tell), opener=self._keys,
            cursor=Cursor(registry(), asking, asking, self._retirements), planner=asking, clock=clock, secret_key=derived_bytes(secret, "sessions"),
            starts=Starts(settings.cached_starts), crowd=Crowd(settings.unproven_sessions), set_aside=PostgresSetAside(database), elsewhere_s=settings.set_aside_elsewhere_seconds, watch=metrics, ownership=Ownership(log, lambda: False), failed=lambda *_: None,
        )  # fmt: skip
        self._worker = StayingWorker(lambda: Worker(parts, asking, dead_letters, settings.set_aside_look_seconds))
        remedies: dict[str, Remedy] = {
            STATE: self._worker.take_over_anew,
            KEYS: lambda _: self._keys.renew(force=True),
            REVOCATIONS: lambda _: revocations_again(database, clock),
            TOKENS: lambda _: tell_again(database, clock),
        }
        self._ends = LogEnds(
            database, watched, self._places, remedies, count_log_lost, settings.set_aside_look_seconds, wary=(REVOCATIONS,)
        )

    def _places(self) -> list[TopicPartition]:
        """All that executors write or are answered in; of sessions the worker itself keeps account, of states whoever holds them."""
        states = [TopicPartition(STATE, number) for topic, number in self._worker.held() if topic == STEPS]
        return [TopicPartition(name, number) for name in _WATCHED for number in range(TOPICS[name].partitions)] + states

    async def start(self) -> None:
        """Join the group."""
        await self._retirements.start()
        await self._worker.start()

    async def stop(self) -> None:
        """Leave the group, then tell the log what the directory has to say."""
        await self._worker.stop()
        await self._relay.stop()
        await self._retirements.stop()

    def chores(self) -> Mapping[str, Awaitable[None]]:
        """What runs beside it for as long as it lives."""
        return {
            "epoch keys": self._keys.run(),
            "upkeep": self._upkeep.run(),
            "relay": self._relay.run(),
            "tokens": self._repeating.run(),
            "log ends": self._ends.run(),
            "ages": watch_ages(self._report_ages),
            "lag": watch_lag(self._log, GROUP, self._worker.held, self._worker.mark),
            "worker": self._worker.run(),
        }

    def readiness(self) -> Mapping[str, bool]:
        """`caught_up`: partitions were given and taken over; `log`: the membership goes on; `definitions`: read to their end; `outbox`:
        nothing waits there for long; `epoch_key`: there is one to seal to that this worker can open."""
        return {
            "caught_up": self._worker.caught_up, "log": self._worker.joined, "definitions": self._retirements.ready,
            "outbox": self._relay.in_time, "epoch_key": self._keys.young,
        }  # fmt: skip

    def notes(self) -> Mapping[str, object]:
        """`set_aside`: the partitions that this worker holds and in which nothing happens until they are repaired."""
        asides = [
            {"partition": one.partition, "offset": one.offset, "reason": one.reason, "since_us": one.since_us}
            for one in self._worker.set_aside()
        ]
        return {"set_aside": asides} if asides else {}

    @property
    def failure(self) -> BaseException | None:
        """Why following the definitions ended by itself."""
        return self._retirements.failure

    def _report_ages(self) -> None:
        metrics().outbox_age(SCHEMA, self._relay.age())
        metrics().epoch_key_age("worker", self._keys.age())


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
        self._has_one_secret = False

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """See `Service.needs`."""
        return {"postgres": self._prepare}

    async def start(self) -> None:
        """Work as far as what it depends on is there; the rest follows when that comes."""
        chores: dict[str, Awaitable[None]] = {"first administrator": self._first_administrator()}
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
            await keep_to_one_secret(self._database, self._settings.secrets)
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
