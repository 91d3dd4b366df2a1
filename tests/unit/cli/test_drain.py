"""A process that is told to stop says so before it does: nobody's request is lost to it (architecture §4.14)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shared.kernel.clock import FixedClock
from shared.runtime import process
from shared.runtime.listener import Listener
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from tests.unit.cli.test_listener import Greeter, told


class Slow(Greeter):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    def routes(self) -> tuple[web.RouteDef, ...]:
        async def later(request: web.Request) -> web.Response:
            self.asked.set()
            await self.answers.wait()
            return web.Response(text="done")

        return (*super().routes(), web.get("/later", later), web.post("/later", later))


def settings(drain_s: float) -> CommonSettings:
    return CommonSettings(listen=Address("127.0.0.1", 0), metrics_listen=None, drain_seconds=drain_s)


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def listener(slow: Slow) -> AsyncIterator[Listener]:
    made = Listener([slow], settings(0.0), FixedClock())
    await made.start()
    yield made
    await made.stop()


async def connection_of(session: aiohttp.ClientSession, listener: Listener, path: str, method: str = "GET") -> tuple[int, str | None]:
    async with session.request(method, f"http://{listener.address}{path}") as answer:
        await answer.read()
        return answer.status, answer.headers.get("Connection")


@pytest.mark.parametrize(("path", "status"), [("/hello", 200), ("/nowhere", 404), ("/-/health/live/", 200), ("/-/health/ready/", 503)])
async def test_while_it_drains_every_answer_closes_its_connection(listener: Listener, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session:
        before = await connection_of(session, listener, path)
        assert before[1] is None
        await listener.drain()
        assert await connection_of(session, listener, path) == (status, "close")
        assert await connection_of(session, listener, path) == (status, "close"), "a new connection is taken still"


async def test_it_says_first_that_it_is_not_ready(listener: Listener) -> None:
    assert (await told(listener))[:2] == (200, {"greeter.awake": True, "greeter.postgres": True})
    await listener.drain()
    assert (await told(listener))[:2] == (503, {"greeter.awake": True, "greeter.postgres": True, "staying": False})


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_in_flight_is_answered_and_nobody_new_is(slow: Slow, method: str) -> None:
    listener = Listener([slow], settings(0.0), FixedClock())
    await listener.start()
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(connection_of(session, listener, "/later", method))
        await slow.asked.wait()
        await listener.drain()
        stopping = asyncio.create_task(listener.stop())
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection(*listener.address)
                except OSError:
                    break
                writer.close()
                await asyncio.sleep(0.01)
        assert not asking.done()
        slow.answers.set()
        assert await asking == (200, "close")
        await stopping


async def test_who_never_was_ready_has_nobody_to_wait_for(slow: Slow) -> None:
    listener = Listener([slow], settings(8.0), FixedClock(), lambda: {"kafka": False})
    await listener.start()
    async with asyncio.timeout(4.0):
        await listener.drain()
    await listener.stop()


async def test_a_process_without_visitors_has_nobody_to_wait_for() -> None:
    class Silent(Greeter):
        def routes(self) -> tuple[web.RouteDef, ...]:
            return ()

    listener = Listener([Silent()], settings(8.0), FixedClock())
    await listener.start()
    async with asyncio.timeout(4.0):
        await listener.drain()
    await listener.stop()


async def _ends(events: list[str], how: Callable[[], Any]) -> None:
    class Part:
        async def start(self) -> None:
            events.append("started")

        async def stop(self) -> None:
            events.append("stopped")

    async def drain() -> None:
        events.append("drained")

    async with AsyncExitStack() as stack:
        await process.started(stack, Part())
        process.drained_with(stack, drain)
        await how()


async def _signalled() -> None:
    raise asyncio.CancelledError


async def _failed() -> None:
    raise process.ServiceEnded("by itself")


async def _over() -> None:
    return None


@pytest.mark.parametrize(
    ("how", "then"),
    [(_signalled, ["started", "drained", "stopped"]), (_failed, ["started", "stopped"]), (_over, ["started", "stopped"])],
)
async def test_a_signal_is_followed_by_the_draining_and_an_end_by_itself_is_not(how: Callable[[], Any], then: list[str]) -> None:
    events: list[str] = []
    with suppress(asyncio.CancelledError, process.ServiceEnded):
        await _ends(events, how)
    assert events == then
