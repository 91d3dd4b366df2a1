"""The embedded log's file seen from the event loop: one thread writes, one reads, neither blocks the loop.

Commits are `synchronous = full`: an acknowledged append survives a power cut, not only a killed process. The log is
the arbiter of every session (architecture §4.2) and nobody holds a second copy of it.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from shared.kernel.errors import SluiceError
from shared.messaging.embedded.sqlite_schema import SELECT, Row, connect_reader, connect_writer, from_row
from shared.messaging.log import LogClosed, LogUnavailable, Record

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
Done = Callable[[Any, Exception | None], None]


class LogInUse(SluiceError):
    """Another process has the log's file open for writing."""

    code = "E_LOG_IN_USE"


class SqliteStore:
    """The file, open. Jobs for the writer run in the order given, each in the order of its own statements."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self._writer = _Worker(connect_writer(path), f"{path.name} writer", self._loop)
            self._reader = _Worker(connect_reader(path), f"{path.name} reader", self._loop)
        except BaseException:
            self._lock.close()
            raise

    def write(self, job: Job[T], done: Done) -> None:
        """Run a job on the writer's thread, then `done(result, error)` on the loop."""
        self._writer.submit(job, done)

    async def written(self, job: Job[T]) -> T:
        """Run a job on the writer's thread and wait for its result."""
        return await self._writer.run(job)

    async def queried(self, job: Job[T]) -> T:
        """Run a job on the reader's thread and wait for its result."""
        return await self._reader.run(job)

    async def fetch(self, topic: str, partition: int, start: int, end: int, limit: int) -> list[Record]:
        """Records with start <= offset < end."""

        def job(connection: sqlite3.Connection) -> list[Row]:
            return connection.execute(SELECT, (topic, partition, start, end, limit)).fetchall()

        return [from_row(row) for row in await self.queried(job)]

    async def close(self) -> None:
        """Finish what was submitted, let go of the file."""
        await self._reader.stop()
        await self._writer.stop()
        self._lock.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing; an error rolls back and is raised."""
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


class _Worker:
    """A thread that owns one connection. Not an executor: a plain queue halves the cost of a hand-over."""

    def __init__(self, connection: sqlite3.Connection, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Done] | None] = queue.SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[T], done: Done) -> None:
        if self._stopped:
            raise LogClosed("the log is closed")
        self._jobs.put((job, done))

    async def run(self, job: Job[T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error if isinstance(error, SluiceError) else LogUnavailable(str(error)))

        self.submit(job, done)
        return await future

    async def stop(self) -> None:
        self._stopped = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, 5.0)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._report(job[1], *self._attempt(job[0]))
            del job
        self._connection.close()

    def _attempt(self, job: Job[Any]) -> tuple[Any, Exception | None]:
        try:
            return job(self._connection), None
        except Exception as error:  # noqa: BLE001 - not caught but carried over to the loop
            return None, error

    def _report(self, done: Done, result: Any, error: Exception | None) -> None:
        # a loop that was closed before the log has nobody left to tell
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(done, result, error)


def _lock(path: Path) -> IO[str]:
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise LogInUse(f"{path} is held by another process") from error
    return lock
