"""A real edge and a real worker on one log in memory, behind a socket: what an attacker with a browser meets.

Planner, policy and directory are those of `tests.unit.executor.world`; alice's password is `secret`.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from html import unescape
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp

from services.executor.common import sealing
from services.executor.edge.edge import Edge
from services.executor.edge.settings import EdgeSettings
from shared.contracts.errors import BadSeal
from shared.contracts.planner import PlannedStage
from shared.contracts.steps import Sealed
from shared.flows.registry import registry
from shared.flows.stage import Stage
from shared.kernel.clock import FixedClock
from shared.web.app import make_app
from shared.web.client import Clients
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.server import Listener
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.conftest import Answer, Browser, FakeLogins, FakeRevocations, Records
from tests.integration.edge.scripted_worker import Keys
from tests.unit.executor.world import World

PAGE, API = "/if/flow/login/", "/api/v3/flows/executor/login/?query="
ME = "/api/v3/core/users/me/"
SESSION = "authentik_session"


class Opener:
    """The worker's half of the tests' one epoch key; `gone` destroys it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.gone = False

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        return sealing.open_sealed(sealing.private_key(self._keys.private), sealed, session, command)

    async def mark(self, epoch: str, *parts: bytes) -> str:
        if self.gone:
            raise BadSeal
        return sealing.mark(sealing.marking_key(self._keys.private), *parts)


class Whole:
    """Use as `async with Whole(flows) as whole`. `extra` are stage types beside those of this release."""

    def __init__(self, flows: Mapping[str, Sequence[PlannedStage]] | None = None, extra: Sequence[Stage[Any]] = ()) -> None:
        self.keys = Keys()
        self.opener = Opener(self.keys)
        types = replace(registry(), stages={**registry().stages, **{one.name: one for one in extra}})
        self.world = World(flows, types=types)
        self.world.opener = self.opener
        self.clock: FixedClock = self.world.clock
        self.logins, self.revocations, self.records = FakeLogins(), FakeRevocations(), Records()
        self.settings = EdgeSettings(secrets=(b"s" * 32,), reply_wait_s=PATIENT_S)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.world)
        self.edge = Edge(self.world.log, self.logins, self.revocations, self.keys, self.settings, self.clock, lambda _: None)
        await self.edge.start()
        self._stack.push_async_callback(self.edge.stop)
        security = SecurityLog(self.records, self.clock)
        listener = Listener(make_app(self.edge.routes(), Limits(), security, Clients()), Limits(), security)
        _, port = await listener.start("127.0.0.1", 0)
        self._stack.push_async_callback(listener.stop)
        self.url = f"http://127.0.0.1:{port}"
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def browser(self, jar: Mapping[tuple[str, str], str] | None = None) -> Browser:
        """A browser; with this jar, one that has copied, or was planted, these cookies."""
        made = Browser(self.url, self._http)
        made.jar = dict(jar or {})
        return made

    async def is_somebody(self, browser: Browser) -> bool:
        return (await browser.get(ME)).status == 200

    @property
    def verified(self) -> int:
        """How many passwords were looked at."""
        return sum(ask.kind == "directory.password.verify" for _, ask in self.world.directory.asked)


def hidden(page: Answer) -> dict[str, str]:
    """The hidden fields of a page's form: what somebody can note who has it before their eyes."""
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)}


def action(page: Answer) -> str:
    """Where the page's form is sent."""
    found = re.search(r'<form method="post" action="([^"]*)"', page.text)
    assert found, page.text
    return unescape(found[1])


async def send(browser: Browser, page: Answer, **fields: str) -> Answer:
    """Fill in a page's form and send it, as a browser does."""
    return await sent(browser, page, {"Sec-Fetch-Site": "same-origin"}, fields)


async def sent(browser: Browser, page: Answer, headers: Mapping[str, str], fields: Mapping[str, str]) -> Answer:
    """Send it with other headers than its content's type and `Origin`."""
    body = urlencode({**hidden(page), **fields}).encode()
    own = {"Content-Type": "application/x-www-form-urlencoded", "Origin": browser.url}
    return await browser.send("POST", action(page), {**own, **headers}, body)


async def followed(browser: Browser, answer: Answer) -> Answer:
    """The page that a 303 leads to."""
    assert answer.status == 303, (answer.status, answer.text)
    return await browser.get(answer.headers["Location"])


async def at_password(browser: Browser, target: str = PAGE) -> Answer:
    """The password page, after typing alice's name."""
    page = await followed(browser, await send(browser, await browser.get(target), uid_field="alice"))
    assert 'name="password"' in page.text
    return page
