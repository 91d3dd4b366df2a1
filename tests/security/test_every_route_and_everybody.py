"""Somebody tries every route that is registered, as nobody, as a user, as another user, by a log-in's cookie (ASVS 5.0 8.2.1, 8.3.1).

What is open to all is a list here; everything else has to be closed to all but superusers. A route that is new and not in the list
is tried like the others, so that nobody can forget to close one.
"""

import asyncio
import http.client
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import pytest

from services.catalog import bootstrap as catalog
from services.catalog.settings import Settings as CatalogSettings
from services.executor import bootstrap as executor
from services.executor.settings import Settings as ExecutorSettings
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.runtime.environment import load
from shared.web import health
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor
from tests.fixtures_patience import PATIENT_S

PASSWORD: Final = "the password of a user"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OPEN: Final = (
    "/",
    "/if/user/",
    "/if/flow/{slug}/",
    "/flows/-/default/{designation}/",
    "/flows/-/cancel/",
    "/api/v3/flows/executor/{slug}/",
    "/api/v3/core/users/me/",  # 403 for nobody, and oneself for everybody else
    "/static/dist/",
    *health.PATHS,
)
"""Paths that anybody may ask; a path that ends in `/dist/` is a folder."""


@dataclass(frozen=True, slots=True)
class Route:
    """A registered path, and what stands for its parameters."""

    path: str

    @property
    def target(self) -> str:
        """A request target of it; the objects that it names do not exist, so that a superuser's try changes nothing either."""
        filled = self.path.replace("{key:[^/]+}", "00000000-0000-4000-8000-000000000000").replace("{pk:[^/]+}", "999999")
        return filled.replace("{slug}", "no-such-flow").replace("{designation}", "authentication")

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask it."""
        return any(self.path == one or (one.endswith("/dist/") and self.path.startswith(one)) for one in OPEN)


def registered() -> list[Route]:
    """Every route of the services with HTTP, as their bootstraps make them; nothing is started."""

    async def found() -> list[str]:
        log = await EmbeddedLog.open(TOPICS)
        given = {"database": "postgresql://nobody@127.0.0.1:1/none", "secret_key": secrets.token_bytes(48)}
        services = (
            await catalog.build(load(CatalogSettings, **given), log, SystemClock()),
            await executor.build(load(ExecutorSettings, **given), log, SystemClock()),
        )
        paths = [route.path for service in services for route in service.routes()]
        await log.close()
        return paths

    return [Route(path) for path in dict.fromkeys(asyncio.run(found()))]


ROUTES: Final = registered()
CLOSED: Final = [route for route in ROUTES if not route.is_open]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: str


class Installation:
    """A real `sluice up` with two users, and who one can be there."""

    def __init__(self, process: SluiceUp) -> None:
        self.process = process
        self.tokens = {"root": process.token}
        for name in ("alice", "bob"):
            process.command("users", "create", name, "--password-stdin", stdin=f"{PASSWORD}\n")
            self.tokens[name] = process.command("users", "create-token", name).stdout.split()[-1]
        visitor = Visitor(process.base_url)
        assert visitor.log_in("alice", PASSWORD)["component"] == "xak-flow-redirect"
        admin = Visitor(process.base_url)
        assert admin.log_in("akadmin", process.password)["component"] == "xak-flow-redirect"
        self.cookies = {"alice's browser": _cookies(visitor), "an administrator's browser": _cookies(admin)}
        self.headers: dict[str, dict[str, str]] = {
            "nobody": {},
            "a made-up token": {"Authorization": "Bearer " + "x" * 40},
            "an empty token": {"Authorization": "Bearer "},
            "another scheme": {"Authorization": "Basic YWtYWRtaW46YQ=="},
            "alice": {"Authorization": f"Bearer {self.tokens['alice']}"},
            "bob": {"Authorization": f"Bearer {self.tokens['bob']}"},
            **{name: {"Cookie": value} for name, value in self.cookies.items()},
            "headers of a gateway": {"X-authentik-username": "akadmin", "Remote-User": "akadmin", "X-Forwarded-User": "akadmin"},
        }

    def ask(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        """One request, nothing followed."""
        parts = urlsplit(self.process.base_url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        body = json.dumps({"name": "x", "slug": "x", "username": "x", "password": "x"}) if method in ("POST", "PUT", "PATCH") else None
        connection.request(method, target, body, {"Content-Type": "application/json", **headers} if body else headers)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.read().decode(errors="replace"))
        connection.close()
        return found


def _cookies(visitor: Visitor) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.jar if cookie.path == "/")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {"SLUICE_BOOTSTRAP_PASSWORD": "the password of the administrator"}
    with SluiceUp(tmp_path_factory.mktemp("routes") / "data", settings) as process:
        yield Installation(process)


def test_routes_are_found_and_most_of_them_are_closed() -> None:
    assert len(CLOSED) >= 20
    assert {route.path for route in ROUTES if route.is_open}


@pytest.mark.slow
@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.path)
def test_a_closed_route_says_no_to_everybody_but_a_superuser(installation: Installation, route: Route) -> None:
    for who, headers in installation.headers.items():
        for method in METHODS:
            for target in (route.target, route.target + "?" + quote("token") + "=x", route.target + "?force=true"):
                answer = installation.ask(method, target, headers)
                assert answer.status in (400, 401, 403, 405), (who, method, target, answer)
                assert "akadmin" not in answer.body


@pytest.mark.slow
@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.path)
def test_a_superuser_is_let_in(installation: Installation, route: Route) -> None:
    answer = installation.ask("GET", route.target, {"Authorization": f"Bearer {installation.tokens['root']}"})
    assert answer.status in (200, 404, 405)


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in ROUTES if route.is_open], ids=lambda route: route.path)
def test_an_open_route_never_fails_and_tells_nobody_of_anybody(installation: Installation, route: Route) -> None:
    for who, headers in installation.headers.items():
        if who == "an administrator's browser":
            continue
        for method in METHODS:
            if route.path in ("/flows/-/cancel/", "/api/v3/flows/executor/{slug}/") and "Cookie" in headers:
                continue  # these act on the session that the others are asked with
            answer = installation.ask(method, route.target, headers)
            assert answer.status < 500, (who, method, answer)
            assert "akadmin" not in answer.body, (who, method)
            assert who == "alice" or who == "alice's browser" or "alice" not in answer.body, (who, method)


@pytest.mark.slow
def test_a_deleted_users_token_and_a_revoked_one_open_nothing(installation: Installation) -> None:
    installation.process.command("users", "create", "carol", "--password-stdin", stdin=f"{PASSWORD}\n")
    token = installation.process.command("users", "create-token", "carol", "--identifier", "carols").stdout.split()[-1]
    mine = {"Authorization": f"Bearer {token}"}

    def until(status: int) -> None:
        deadline = time.monotonic() + PATIENT_S
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if installation.ask("GET", "/api/v3/core/users/me/", mine).status == status:
                return
        pytest.fail(f"never {status}")

    until(200)
    installation.process.command("users", "revoke-token", "carols")
    until(403)
