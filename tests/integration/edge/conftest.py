"""An edge with everything real but the worker and PostgreSQL: a socket, the listener, the embedded log in memory."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

import aiohttp
import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from services.executor.edge.edge import Edge
from services.executor.edge.settings import EdgeSettings
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.topics import TOPICS
from shared.kernel.clock import FixedClock, SystemClock
from shared.kernel.errors import Unavailable
from shared.messaging.embedded.log import EmbeddedLog
from shared.web import health
from shared.web.app import make_app
from shared.web.client import Clients
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.server import Listener
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.scripted_worker import Keys, ScriptedWorker

ALICE = UserFacts(
    pk=7, uuid="0", uid="u" * 8, username="alice", name="Alice Example", email="alice@example.com", is_active=True, is_superuser=False
)


class FakeLogins:
    """The directory: alice exists, her logins are good until said otherwise."""

    def __init__(self) -> None:
        self.good = True
        self.away = False
        self.superuser = False
        self.active = True
        self.looked_up = 0
        self.asked = 0

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        if self.away:
            raise Unavailable
        self.looked_up += 1
        return self.good

    async def facts(self, user: int) -> UserFacts | None:
        if self.away:
            raise Unavailable
        self.asked += 1
        return ALICE.model_copy(update={"is_superuser": self.superuser, "is_active": self.active}) if user == 7 else None


class FakeRevocations:
    """The tail of the revocations."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.silent_s = 0.0

    def is_revoked(self, claims: LoginClaims) -> bool:
        return claims.login in self.revoked

    def age(self) -> float:
        return self.silent_s

    def fetched_age(self) -> float:
        return 0.0


@dataclass
class Records:
    """The security records that were written."""

    kinds: list[str] = field(default_factory=list)
    facts: list[Mapping[str, str | int]] = field(default_factory=list)

    def __call__(self, what: str, size: int = 0, facts: Mapping[str, str | int] | None = None) -> None:
        self.kinds.append(what)
        self.facts.append(facts or {})


@dataclass
class Rig:
    """The edge under test, and what stands around it."""

    url: str
    worker: ScriptedWorker
    logins: FakeLogins
    revocations: FakeRevocations
    records: Records
    keys: Keys
    edge: Edge
    log: EmbeddedLog
    settings: EdgeSettings
    another_edge: Callable[[], Awaitable[tuple[Edge, str]]]

    @contextmanager
    def impatient(self, wait_s: float = 0.3) -> Iterator[None]:
        """Wait a moment for replies that do not come; at all other times the wait is long, for a machine that is slow."""
        patient = self.settings.reply_wait_s
        object.__setattr__(self.settings, "reply_wait_s", wait_s)
        try:
            yield
        finally:
            object.__setattr__(self.settings, "reply_wait_s", patient)

    @contextmanager
    def silence(self, wait_s: float = 0.3) -> Iterator[None]:
        """The worker takes steps and does not reply."""
        self.worker.silent = True
        try:
            with self.impatient(wait_s):
                yield
        finally:
            self.worker.silent = False

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.text)
        assert isinstance(found, dict)
        return found

    def cookies(self) -> dict[str, str]:
        return {line.partition("=")[0]: line for line in self.headers.getall("Set-Cookie", [])}


class Browser:
    """Keeps cookies by name and path, follows nothing, and says what it was told."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http
        self.jar: dict[tuple[str, str], str] = {}

    def cookie(self, name: str, path: str = "/") -> str | None:
        return self.jar.get((name, path))

    async def send(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        path = target.partition("?")[0]
        sent = "; ".join(f"{name}={value}" for (name, where), value in self.jar.items() if path.startswith(where))
        cookie = {"Cookie": sent} if sent else {}
        async with self._http.request(
            method, URL(self.url + target, encoded=True), headers={**cookie, **(headers or {})}, data=body, allow_redirects=False,
            skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
        ) as response:  # fmt: skip
            answer = Answer(response.status, response.headers, await response.text())
        for line in answer.headers.getall("Set-Cookie", []):
            self._keep(line)
        return answer

    def _keep(self, line: str) -> None:
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        path = next((one[5:] for one in attributes if one.lower().startswith("path=")), "/")
        if "Max-Age=0" in attributes:
            self.jar.pop((name, path), None)
        else:
            self.jar[name, path] = value

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.send("GET", target, {name.replace("_", "-"): value for name, value in headers.items()})

    async def post(self, target: str, body: object, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", target, {"Content-Type": "application/json", **named}, json.dumps(body).encode())


def onward(answer: Answer) -> str:
    """Where the page at the end of a flow goes by itself; it says so and links there, too."""
    assert answer.status == 200
    delay, _, to = answer.headers["Refresh"].partition("; url=")
    assert delay == "0"
    assert f'<a class="button" href="{escape(to)}">Continue</a>' in answer.text
    return to


@pytest.fixture
def edge_settings() -> EdgeSettings:
    return EdgeSettings(secrets=(b"s" * 32,), reply_wait_s=PATIENT_S)


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
def clients() -> Clients:
    return Clients()


@pytest.fixture
async def rig(edge_settings: EdgeSettings, limits: Limits, clients: Clients) -> AsyncIterator[Rig]:
    log = await EmbeddedLog.open(TOPICS)
    keys, logins, revocations, records = Keys(), FakeLogins(), FakeRevocations(), Records()
    worker = ScriptedWorker(log, keys)
    await worker.start()
    tokens = {"good-token": 7}
    security = SecurityLog(records, FixedClock())
    async with AsyncExitStack() as stack:

        async def served() -> tuple[Edge, str]:
            edge = Edge(log, logins, revocations, keys, edge_settings, SystemClock(), tokens.get)
            await edge.start()
            stack.push_async_callback(edge.stop)
            app = make_app([*edge.routes(), *health.routes(edge.readiness)], limits, security, clients)
            listener = Listener(app, limits, security)
            _, port = await listener.start("127.0.0.1", 0)
            stack.push_async_callback(listener.stop)
            return edge, f"http://127.0.0.1:{port}"

        edge, url = await served()
        yield Rig(url, worker, logins, revocations, records, keys, edge, log, edge_settings, served)
    await worker.stop()
    await log.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def browser(rig: Rig, http: aiohttp.ClientSession) -> Browser:
    return Browser(rig.url, http)
