"""A pool of connections that opens when it is needed: PostgreSQL may come later than we, and go and come again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from shared.postgres import connecting
from shared.postgres.away import refused, unavailable, unavailable_for
from shared.postgres.connecting import milliseconds, session_settings
from shared.postgres.migrations import MigrationSet, migrate
from shared.postgres.uri import place_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

TIMEOUT: Final = 1.0  # s, for all that one caller does with a connection (architecture §4.14)
MIGRATION_TIMEOUT: Final = 60.0  # s; a start is no request, and another process may be migrating
KEEP_IDLE: Final = 300.0  # s
AHEAD_US: Final = 60_000_000
_BOUNDED: Final = "SELECT least($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2::bigint)"


class Database:
    """One service's schema: connections on demand, at most `size`, migrated before the first is handed out."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", dsn: str, schema: str, migrations: Sequence[MigrationSet], limit_s: float
    ) -> None:
        self.schema: Final = schema
        self.place: Final = place_of(dsn)
        self._pool = pool
        self._dsn = dsn
        self._migrations = tuple(migrations)
        self._limit_s = limit_s
        self._preparing: asyncio.Task[None] | None = None
        self._prepared = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, for so long as `limit_s` allows; `PostgresUnavailable` when that is not enough or it breaks.

        At the end of that time the connection is cut, which the statement that waits then notices at once. To cancel it
        as the driver does, rollback included, would be to wait for a server that may never answer.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit_s
        with unavailable(self.place):
            async with asyncio.timeout_at(deadline):
                if not self._prepared:
                    await self.prepare()
                connection = await self._pool.acquire()
            cut = loop.call_at(deadline, connection.terminate)
            try:
                yield connection
            except asyncio.CancelledError:
                connection.terminate()
                raise
            except AttributeError as failure:
                # Cut between two round trips of a statement, the driver goes on with a protocol that it has let go of.
                if connection.is_closed():
                    raise unavailable_for(TimeoutError(), self.place) from failure
                raise
            finally:
                cut.cancel()
                await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that ends with the block: committed, or rolled back by an exception."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except asyncio.CancelledError:
                raise  # the connection is cut for it, and the server rolls back by itself
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            await transaction.commit()

    async def fetchrow(self, query: str, *values: Any) -> Row | None:
        """The first row of one statement, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """All rows of one statement."""
        async with self.connection() as connection:
            return await connection.fetch(query, *values)

    async def fetchval(self, query: str, *values: Any) -> Any:
        """The first column of the first row of one statement, None without a row."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *values)

    async def bounded(self, now_us: int) -> int:
        """This time of ours, but at most a minute after PostgreSQL's: whoever ends or destroys what is not theirs alone goes by it, for
        a clock may be far ahead."""
        return int(await self.fetchval(_BOUNDED, now_us, AHEAD_US))

    async def execute(self, query: str, *values: Any) -> str:
        """One statement without rows; the command tag (`DELETE 3`)."""
        async with self.connection() as connection:
            return await connection.execute(query, *values)

    async def prepare(self) -> None:
        """Migrate, unless it is done: callers wait for one attempt that all share and that outlives their patience.

        Raises:
            PostgresUnavailable: it is away.
            PostgresRefused, MigrationRefused: waiting would not help.
        """
        task = self._preparing
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._preparing = asyncio.create_task(self._migrate(), name=f"migrate {self.schema}")
            task.add_done_callback(_retrieve)
        if not task.done():
            await asyncio.shield(task)
        else:
            task.result()
        self._prepared = True

    async def connect(self, *, limit_s: float, silent_s: float) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of one's own, outside the pool, to listen on: `limit_s` for a statement. The server ends it when it hears nothing
        of us, or cannot reach us, for `silent_s`: nothing may be kept for a process that stands still."""
        silent = milliseconds(silent_s)
        with unavailable(self.place):
            return await connecting.connect(self._dsn, self.schema, limit_s, {"idle_session_timeout": silent, "tcp_user_timeout": silent})

    async def close(self) -> None:
        """Let go of all connections, of those in use at the latest when their time is over."""
        if self._preparing is not None and not self._preparing.done():
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        try:
            async with asyncio.timeout(self._limit_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _migrate(self) -> None:
        if not self._migrations:
            return
        with unavailable(self.place), refused():
            connection = await connecting.connect(self._dsn, self.schema, statement_timeout_s=MIGRATION_TIMEOUT)
            try:
                await migrate(connection, self.schema, self._migrations)
            finally:
                await connection.close(timeout=TIMEOUT)


async def open_pool(dsn: str, *, schema: str, size: int = 8, migrations: Sequence[MigrationSet] = (), limit_s: float = TIMEOUT) -> Database:
    """A `Database`; returns at once, whether PostgreSQL is there or not."""

    async def leave_as_it_is(_: object) -> None:
        """Nobody changes the state of a pooled connection, so the round trip that would reset it is saved."""

    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        max_inactive_connection_lifetime=KEEP_IDLE,
        timeout=limit_s,
        command_timeout=2 * limit_s,  # never the first to end a statement; it bounds what the driver does about a cancelled one
        reset=leave_as_it_is,
        server_settings=session_settings(schema, limit_s),
    )
    return Database(pool, dsn, schema, migrations, limit_s)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take note of the failure even if all who waited have given up; the next caller tries again."""
    if not task.cancelled():
        task.exception()
