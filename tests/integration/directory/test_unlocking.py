"""Unlocking an account over HTTP and at a terminal: by whom, what is answered, what is refused."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.executor.administration import Administration
from services.executor.directory.directory import PostgresDirectory
from services.executor.directory.naming import UserRefused
from services.executor.directory.unlock_api import UnlockApi
from services.executor.directory.unlocking import Unlocked, Unlocking
from services.executor.rules.guess_limits import GuessLimits
from shared.contracts.directory import TokenChanged, UserChanged
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from sluice import users as commands
from tests.integration.directory.conftest import SECRET, People

Client = TestClient[web.Request, web.Application]
LIMITS = GuessLimits(account=10, address=30)


class Tokens:
    """Two tokens, as `shared.web.token_projection.TokenProjection` would know them."""

    def owner(self, token: str) -> TokenChanged | None:
        users = {"root-token": (71, "root", True), "plain-token": (72, "plain", False)}
        if token not in users:
            return None
        user, name, is_superuser = users[token]
        return TokenChanged(hash="h", user=user, username=name, is_superuser=is_superuser, is_active=True)

    def user_of(self, token: str) -> int | None:
        found = self.owner(token)
        return found.user if found else None


@pytest.fixture
async def client(people: People) -> AsyncIterator[Client]:
    api = UnlockApi(Unlocking(people.database, people.clock, LIMITS), Tokens())
    app = make_app(api.routes(), Limits(), SecurityLog(lambda what, size=0, facts=None: None, people.clock))
    async with TestClient(TestServer(app)) as client:
        yield client


async def asked(client: Client, pk: object, token: str | None = "root-token", method: str = "POST") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with client.request(method, f"/api/sluice/v1/users/{pk}/unlock/", headers=headers) as answer:
        body = json.loads(await answer.text())
        assert answer.headers["Content-Type"].startswith("application/problem+json" if answer.status >= 400 else "application/json")
        assert answer.status != 401 or answer.headers["WWW-Authenticate"] == "Bearer"
        return answer.status, body


async def test_a_superuser_unlocks_an_account(client: Client, people: People) -> None:
    alice = await people.make()
    for _ in range(10):
        await people.guess(alice.pk, "wrong")
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "wrong"
    assert await asked(client, alice.pk) == (200, {"user": alice.pk, "locked": ["account", "network"]})
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "ok"
    assert await asked(client, alice.pk) == (200, {"user": alice.pk, "locked": []})


async def test_the_event_names_the_administrator(client: Client, people: People) -> None:
    alice = await people.make()
    await asked(client, alice.pk)
    (told,) = [event for event in await people.said(UserChanged) if event.what == "unlocked"]
    assert (told.user, told.facts) == (alice.pk, {"username": "alice", "by": "root", "by_user": 71, "locked": ()})


@pytest.mark.parametrize(
    ("token", "status", "error"),
    [
        (None, 401, "credentials_needed"),
        ("made-up", 401, "credentials_needed"),
        ("", 401, "credentials_needed"),
        ("plain-token", 403, "superuser_only"),
    ],
)
async def test_nobody_else_unlocks(client: Client, people: People, token: str | None, status: int, error: str) -> None:
    alice = await people.make()
    for _ in range(10):
        await people.guess(alice.pk, "wrong")
    answered, body = await asked(client, alice.pk, token)
    assert (answered, body["status"], body["error"]) == (status, status, error)
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "wrong"


@pytest.mark.parametrize("pk", ["0", "99999", "2147483648", "9" * 400, "-1", "1.0", "01", "alice", "1%00", "\u0661", "1e1"])
async def test_an_account_that_is_not_there_is_not_found(client: Client, pk: str) -> None:
    status, body = await asked(client, pk)
    assert (status, body["error"]) == (404, "user_unknown")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_nothing_but_a_post_unlocks(client: Client, people: People, method: str) -> None:
    alice = await people.make()
    status, body = await asked(client, alice.pk, method=method)
    assert (status, body["error"]) == (405, "method_not_allowed")


async def test_at_a_terminal_it_is_told_what_was_locked_and_where_it_was_unlocked(people: People) -> None:
    users = Administration(people.database, people.users, people.clock, Unlocking(people.database, people.clock, LIMITS))
    alice = await people.make()
    for _ in range(10):
        await people.guess(alice.pk, "wrong")
    assert await users.unlock("ALICE") == Unlocked(("account", "network"), guesses=10)
    assert await users.unlock("alice") == Unlocked((), guesses=0)
    with pytest.raises(UserRefused, match="there is no user nobody"):
        await users.unlock("nobody")
    told = [event.facts for event in await people.said(UserChanged) if event.what == "unlocked"]
    assert [(facts["by"], facts["by_user"], facts["locked"]) for facts in told] == [
        ("command line", None, ("account", "network")), ("command line", None, ())
    ]  # fmt: skip


async def test_what_was_given_back_is_told_also_where_other_limits_are_set_than_the_servers(people: People) -> None:
    alice = await people.make()
    strict = PostgresDirectory(people.database, people.hashes, people.clock, secret=SECRET, limits=GuessLimits(account=4, address=30))
    server = People(people.database, strict, people.logins, people.users, people.clock, people.hashes)
    for _ in range(4):
        await server.guess(alice.pk, "wrong", key=people.ask_key())
    assert (await server.guess(alice.pk, "alice-pw", key=people.ask_key())).outcome == "wrong"
    generous = Administration(
        people.database, people.users, people.clock, Unlocking(people.database, people.clock, GuessLimits(account=100, address=300))
    )
    assert await generous.unlock("alice") == Unlocked((), guesses=4)
    assert (await server.guess(alice.pk, "alice-pw", key=people.ask_key())).outcome == "ok"


@pytest.mark.parametrize(
    ("given_back", "said"),
    [
        (Unlocked((), 0), "bob was not locked by the limits that are set here; there were no wrong guesses to give back\n"),
        (Unlocked((), 10), "bob was not locked by the limits that are set here; 10 guesses were given back\n"),
        (Unlocked(("account", "network"), 1), "bob is unlocked (for strangers, for a network); 1 guess was given back\n"),
    ],
)
def test_the_command_says_how_much_was_given_back(
    given_back: Unlocked, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_run", lambda work: given_back)
    commands.unlock("bob")
    assert capsys.readouterr().out == said
