"""A loopback proxy that can fall silent: connections through it stay as they are, and nothing comes through any more.

So a network is cut without a reset, or a machine stands still, as far as the other side can tell.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")
CHUNK = 64 * 1024


class Loopback:
    """Forwards a port of its own, on 127.0.0.1, to another one or to a Unix socket. It runs in a thread: tests with a loop and without
    may use it."""

    def __init__(self, target: int | str) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Listen; `port` is known then."""
        self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        """Close everything."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Forward nothing from now on, take no connection, close none."""
        self._run(self._cut())

    def mend(self) -> None:
        """Forward again what comes, also what came meanwhile."""
        self._run(self._mend())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _start(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> None:
        self._open.clear()

    async def _mend(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._open.wait()
            onward, back = await self._connect()
            ways = [asyncio.create_task(self._forward(*way)) for way in ((reader, back), (onward, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                back.close()
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()


def socket_of(uri: str) -> str:
    """The Unix socket of the PostgreSQL of this URI."""
    parts = urlsplit(uri)
    (folder,) = parse_qs(parts.query)["host"]
    return f"{folder}/.s.PGSQL.{parts.port or 5432}"


def by_wire(uri: str, port: int) -> str:
    """The same URI, through a proxy's port."""
    parts = urlsplit(uri)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="").geturl()


@contextmanager
def loopback(target: int | str) -> Iterator[Loopback]:
    """A proxy for the block."""
    proxy = Loopback(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
