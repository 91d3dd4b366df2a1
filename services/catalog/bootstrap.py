"""Puts the catalog together: the only file of the service that knows all its parts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.catalog.adapters.http.api import routes
from services.catalog.adapters.postgres.standing import StandingDefinitions
from services.catalog.adapters.postgres.store import MIGRATIONS, PostgresStore
from services.catalog.application.applying import Applying, File
from services.catalog.application.editing import Editing
from services.catalog.application.ids import new_pk
from services.catalog.application.ports import Store
from services.catalog.domain.blueprints.reader import MAX_BYTES
from services.catalog.settings import Settings
from shared.contracts.topics import CATALOG_EVENTS, DEFINITIONS, HOUR
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import random_id
from shared.kernel.retrying import again_and_again, insist
from shared.kernel.tasks import failure_of
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, ReadableLog, TopicPartition
from shared.messaging.watched import WatchedLog
from shared.postgres.log_ends import LogEnds
from shared.postgres.pool import Database, open_pool
from shared.postgres.probe import WriteProbe
from shared.postgres.relay import Relay
from shared.postgres.repeating import Repeating
from shared.telemetry.ages import watch_ages
from shared.telemetry.metrics import count_dead_letter, count_log_lost, metrics
from shared.telemetry.propagation import current_traceparent
from shared.web.token_projection import TokenProjection

logger = logging.getLogger(__name__)

SCHEMA: Final = "catalog"
LIMIT_S: Final = 5.0
"""How long one change may take. Administrators wait longer than visitors, and a change publishes whole flows."""
RETRY_S: Final = 1.0
SWEEP_S: Final = HOUR


class Catalog:
    """The built service (`shared.kernel.service.Service`)."""

    def __init__(
        self,
        database: Database,
        log: ReadableLog,
        store: Store,
        applying: Applying,
        editing: Editing,
        relay: Relay,
        repeating: Repeating,
        ends: LogEnds,
        tokens: TokenProjection,
        probe: WriteProbe,
        dead_letters: DeadLetters,
    ) -> None:
        self._database = database
        self._probe = probe
        self._log = log
        self._store = store
        self._applying = applying
        self._relay = relay
        self._repeating = repeating
        self._ends = ends
        self._tokens = tokens
        self._dead_letters = dead_letters
        self._routes = routes(editing, tokens)
        self._shipped = False
        self._told = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        """See `Service.name`."""
        return "catalog"

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """See `Service.needs`."""
        return {"postgres": self._probe.reach}

    async def start(self) -> None:
        """Apply the shipped flows if PostgreSQL is there, else as soon as it is; then relay, and sweep every hour."""
        await self._tokens.start()
        try:
            await self._apply_shipped()
        except Unavailable as away:
            _waits(away)
        self._tasks = [
            asyncio.create_task(self._relay.run(), name="catalog relay"),
            asyncio.create_task(self._repeating.run(), name="catalog definitions"),
            asyncio.create_task(self._upkeep(), name="catalog upkeep"),
            asyncio.create_task(self._ends.run(), name="catalog log ends"),
            asyncio.create_task(watch_ages(lambda: metrics().outbox_age(SCHEMA, self._relay.age())), name="catalog ages"),
        ]

    async def stop(self) -> None:
        """See `Service.stop`; what the outbox holds is published before, if the log takes it."""
        await self._relay.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tokens.stop()
        await self._dead_letters.close()
        await self._database.close()

    def routes(self) -> Iterable[Any]:
        """See `Service.routes`."""
        return self._routes

    def readiness(self) -> Mapping[str, bool]:
        """`shipped_flows`: applied and in the log, so that a visitor who comes now finds them; `tokens`: `directory.tokens` is
        read to its end; `outbox`: nothing waits there for long."""
        return {"shipped_flows": self._told, "tokens": self._tokens.ready, "outbox": self._relay.in_time}

    def notes(self) -> Mapping[str, object]:
        """See `Service.notes`."""
        return {}

    @property
    def failure(self) -> BaseException | None:
        """See `Service.failure`."""
        return failure_of(*self._tasks) or self._tokens.failure

    async def _upkeep(self) -> None:
        if not self._shipped:
            await asyncio.sleep(RETRY_S)
            await insist(self._apply_shipped, RETRY_S, told=_waits)
        while not await self._store.published(RETRY_S):  # noqa: ASYNC110 -- what is in the log, only the outbox can say
            await asyncio.sleep(RETRY_S)
        self._told = True
        # the next hour's sweep takes what one that fails would have
        await again_and_again(self._store.sweep, SWEEP_S, lambda away: logger.info("the sweep is left to the next hour: %s", away))

    async def _apply_shipped(self) -> None:
        await self._tell_an_empty_log()
        lines = await self._applying.apply_shipped()
        weak = await self._applying.weaknesses()
        self._shipped = True
        for text in weak:
            logger.warning("as flows are defined: %s", text)
        if lines:
            logger.info("shipped flows were applied: %d changes", len(lines))
        for line in lines:
            logger.debug("shipped flows: %s", line)

    async def _tell_an_empty_log(self) -> None:
        """A log that never had a definition is new, or has been lost: what PostgreSQL believes told was told to another one."""
        _, end = await self._log.bounds(TopicPartition(DEFINITIONS, 0))
        if end == 0 and (told := await self._store.tell_again()):
            logger.warning("the log holds no definitions: %d are told again", told)


def _waits(away: Exception) -> None:
    logger.warning("the shipped flows wait: %s", away)


async def build(settings: Settings, log: Log, clock: Clock) -> Catalog:
    """The catalog, ready to be started; `Misconfigured` without a database."""
    if settings.database is None:
        raise Misconfigured(f"{variable('database')}: the catalog needs it")
    database = await open_pool(settings.database.get_secret_value(), schema=SCHEMA, size=4, migrations=MIGRATIONS, limit_s=LIMIT_S)
    store = PostgresStore(database, clock, random_id, current_traceparent)
    dead_letters = DeadLetters(log, SCHEMA, clock, count_dead_letter)
    tokens = TokenProjection(log, dead_letters, clock)
    watched = WatchedLog(log)
    relay, probe = Relay(database, watched, clock, lease_s=settings.relay_lease_seconds), WriteProbe(database, clock)
    places = [TopicPartition(DEFINITIONS, 0), TopicPartition(CATALOG_EVENTS, 0)]
    ends = LogEnds(database, watched, lambda: places, {DEFINITIONS: lambda _: store.tell_again()}, count_log_lost)
    standing = StandingDefinitions(database, store)
    repeating = Repeating(
        database, log, DEFINITIONS, standing.look, standing.say_again, dead_letters, clock, is_ahead=standing.is_ahead
    )  # fmt: skip
    return Catalog(
        database, log, store, Applying(store, new_pk), Editing(store, new_pk), relay, repeating, ends, tokens, probe, dead_letters
    )


async def apply_files(dsn: str, paths: Sequence[Path], actor: str, *, end_runs: bool = False, force: bool = False) -> list[str]:
    """Apply blueprint files, all or none, beside a running catalog or without one; what changed, one line each.

    Writes PostgreSQL and its outbox only; a running catalog publishes it. `BlueprintRefused` names the place in a file
    that cannot be applied, `Unavailable` says that PostgreSQL is away, `OSError` that a file cannot be read.
    """
    given = [await asyncio.to_thread(_read, path) for path in paths]
    database = await open_pool(dsn, schema=SCHEMA, size=1, migrations=MIGRATIONS, limit_s=4 * LIMIT_S)
    try:
        return await Applying(PostgresStore(database, SystemClock(), random_id), new_pk).apply(actor, given, end_runs=end_runs, force=force)
    finally:
        await database.close()


def _read(path: Path) -> File:
    with path.open("rb") as file:
        return File(str(path), file.read(MAX_BYTES + 1))  # one byte more than is allowed is enough to be refused
