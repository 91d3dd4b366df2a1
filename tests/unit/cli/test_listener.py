"""The visitors' port of a process: health for whoever asks, the rest only for hosts that are served."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import pytest
from aiohttp import web

from shared.kernel.clock import FixedClock
from shared.kernel.errors import SluiceError
from shared.postgres.away import PostgresReadOnly, PostgresRefused, PostgresUnavailable
from shared.runtime.addresses import AddressTaken, refuse_taken
from shared.runtime.listener import Listener
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings


class Greeter:
    """A service with one route."""

    name = "greeter"
    failure = None

    def __init__(self) -> None:
        self.awake = True
        self.refusing: SluiceError | None = None
        self.noted: Mapping[str, object] = {}

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {"postgres": self.write}

    async def write(self) -> None:
        if self.refusing is not None:
            raise self.refusing

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def routes(self) -> tuple[web.RouteDef, ...]:
        async def greet(_: web.Request) -> web.Response:
            return web.Response(text="hello")

        return (web.get("/hello", greet),)

    def readiness(self) -> Mapping[str, bool]:
        return {"awake": self.awake}

    def notes(self) -> Mapping[str, object]:
        return self.noted


def settings(port: int = 0) -> CommonSettings:
    return CommonSettings(listen=Address("127.0.0.1", port), metrics_listen=None, allowed_hosts=("login.example",))


@pytest.fixture
async def greeter() -> Greeter:
    return Greeter()


@pytest.fixture
async def listener(greeter: Greeter) -> AsyncIterator[Listener]:
    made = Listener([greeter], settings(), FixedClock())
    await made.start()
    yield made
    await made.stop()


async def status(listener: Listener, path: str, host: str | None = None) -> int:
    headers = {"Host": host} if host else {}
    async with aiohttp.ClientSession() as session, session.get(f"http://{listener.address}{path}", headers=headers) as answer:
        return answer.status


async def test_health_is_told_by_address_too_where_only_some_hosts_are_served(listener: Listener, greeter: Greeter) -> None:
    assert await status(listener, "/-/health/ready/") == 200
    assert await status(listener, "/hello") == 421
    assert await status(listener, "/hello", "login.example") == 200
    greeter.awake = False
    assert await status(listener, "/-/health/ready/") == 503
    assert await status(listener, "/-/health/live/") == 200


async def test_a_taken_port_is_told_by_its_setting(listener: Listener, greeter: Greeter) -> None:
    taken = settings(listener.address.port)
    with pytest.raises(AddressTaken, match="SLUICE_LISTEN sets another address"):
        await asyncio.to_thread(refuse_taken, taken)
    late = Listener([greeter], taken, FixedClock())
    with pytest.raises(AddressTaken, match=str(listener.address.port)):
        await late.start()
    await late.stop()


def test_the_port_for_metrics_is_looked_at_before_the_start_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        wanted = CommonSettings(listen=Address("127.0.0.1", 0), metrics_listen=Address("127.0.0.1", port))
        with pytest.raises(AddressTaken, match="SLUICE_METRICS_LISTEN sets another address"):
            refuse_taken(wanted)


async def test_ready_is_what_a_visitor_would_meet_with_the_reason_and_none_of_its_words(listener: Listener, greeter: Greeter) -> None:
    assert await told(listener) == (200, {"greeter.awake": True, "greeter.postgres": True}, None)
    for refusing in (PostgresReadOnly("at 10.0.0.3"), PostgresUnavailable("at 10.0.0.3"), PostgresRefused("at 10.0.0.3")):
        greeter.refusing = refusing
        assert await told(listener) == (503, {"greeter.awake": True, "greeter.postgres": False}, {"greeter.postgres": refusing.code})
    greeter.refusing = None
    assert (await told(listener))[0] == 200


async def told(listener: Listener) -> tuple[int, object, object]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{listener.address}/-/health/ready/") as answer:
        body = await answer.json()
        return answer.status, body["parts"], body.get("reasons")


async def test_what_turning_visitors_away_would_not_mend_is_told_to_who_is_ready(listener: Listener, greeter: Greeter) -> None:
    async with aiohttp.ClientSession() as session:
        for noted, details in (({}, None), ({"set_aside": [{"partition": 3}]}, {"greeter.set_aside": [{"partition": 3}]})):
            greeter.noted = noted
            async with session.get(f"http://{listener.address}/-/health/ready/") as answer:
                assert (answer.status, (await answer.json()).get("details")) == (200, details)


async def test_what_is_still_waited_for_is_not_tried() -> None:
    greeter = Greeter()
    greeter.refusing = PostgresUnavailable()
    made = Listener([greeter], settings(), FixedClock(), lambda: {"kafka": False})
    await made.start()
    try:
        assert await told(made) == (503, {"kafka": False, "greeter.awake": True}, None)
    finally:
        await made.stop()
