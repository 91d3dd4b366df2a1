"""Guesses at bearer tokens: limited by address as passwords are, on every route that takes one; a good token is never shut out."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from shared.kernel.clock import FixedClock
from shared.web import misses
from shared.web.app import make_app
from shared.web.bearer import Forbidden, superuser_of
from shared.web.client import Clients
from shared.web.errors import Refusal
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.token_guesses import TokenGuesses
from tests.integration.directory.test_unlocking import Tokens

Client = TestClient[web.Request, web.Application]
LIMIT = 5


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def client(clock: FixedClock) -> AsyncIterator[Client]:
    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response({"who": superuser_of(request, Tokens()).username})
        except Forbidden as forbidden:
            return web.json_response({"detail": forbidden.detail}, status=403)

    app = make_app(
        [web.get("/api/", handler)], Limits(), SecurityLog(lambda what, size=0, facts=None: None, clock),
        Clients(["127.0.0.0/8"]), guesses=TokenGuesses(clock, LIMIT),
    )  # fmt: skip
    async with TestClient(TestServer(app)) as client:
        yield client


async def asked(client: Client, token: str, address: str = "192.0.2.1") -> tuple[int, str]:
    async with client.get("/api/", headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": address}) as answer:
        return answer.status, answer.headers.get("Retry-After", "")


async def test_an_address_has_so_many_guesses_an_hour(client: Client, clock: FixedClock) -> None:
    assert [await asked(client, f"guess-{n}") for n in range(LIMIT)] == [(403, "")] * LIMIT
    clock.advance(600)
    assert await asked(client, "guess") == (429, "3001")
    clock.advance(3001)
    assert await asked(client, "guess") == (403, "")


async def test_a_good_token_is_good_from_where_somebody_guesses(client: Client) -> None:
    for n in range(3 * LIMIT):
        await asked(client, f"guess-{n}")
    assert (await asked(client, "root-token"))[0] == 200
    assert (await asked(client, "guess"))[0] == 429


async def test_good_tokens_use_nothing_up_and_give_nothing_back(client: Client) -> None:
    for n in range(LIMIT):
        await asked(client, f"guess-{n}")
        assert (await asked(client, "root-token"))[0] == 200
    assert (await asked(client, "guess"))[0] == 429


@pytest.mark.parametrize("addresses", [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")])
async def test_neighbours_have_guesses_of_their_own(client: Client, addresses: tuple[str, str]) -> None:
    assert [(await asked(client, f"guess-{n}", addresses[0]))[0] for n in range(LIMIT + 1)] == [403] * LIMIT + [429]
    assert (await asked(client, "guess", addresses[1]))[0] == 403


async def test_a_network_of_ipv6_and_an_address_in_its_clothes_are_one_guesser(client: Client) -> None:
    for n in range(LIMIT):
        await asked(client, f"guess-{n}", f"2001:db8::{n + 1:x}")
        await asked(client, f"guess-{n}", "::ffff:192.0.2.9" if n % 2 else "192.0.2.9")
    assert (await asked(client, "guess", "2001:db8::ffff"))[0] == 429
    assert (await asked(client, "guess", "192.0.2.9"))[0] == 429


def test_made_up_addresses_fill_no_memory(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misses, "NETWORKS", 10)
    guesses = TokenGuesses(clock, 1)
    for n in range(100):
        guesses.missed(f"10.0.0.{n}")
    assert len(guesses) == 10
    with pytest.raises(Refusal):
        guesses.missed("10.0.0.99")


def test_what_is_no_address_is_one_guesser(clock: FixedClock) -> None:
    guesses = TokenGuesses(clock, 1)
    guesses.missed("nonsense")
    with pytest.raises(Refusal):
        guesses.missed("")
