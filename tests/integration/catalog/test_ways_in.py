"""Edits that would open or close a way in, over HTTP and by files, on a real PostgreSQL: refused with their places unless forced."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from services.catalog.adapters.http.api import routes
from services.catalog.adapters.postgres.store import PostgresStore
from services.catalog.application.applying import Applying, File
from services.catalog.application.editing import Editing
from services.catalog.application.ids import new_pk
from services.catalog.domain.ways_in import WayInLost, way_in
from shared.kernel.clock import FixedClock
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from tests.integration.catalog.test_api import ADMIN, KnownTokens

SHIPPED = "default-authentication-"
NO_PASSWORD = b"""
version: 1
entries:
  - model: authentik_stages_password.passwordstage
    state: absent
    identifiers: {name: default-authentication-password}
"""
A_NAME_ALONE = b"""
version: 1
entries:
  - model: authentik_flows.flow
    id: flow
    identifiers: {slug: name-alone}
    attrs: {name: n, title: t, designation: authentication}
  - model: authentik_stages_user_login.userloginstage
    id: in
    identifiers: {name: name-alone-in}
    attrs: {allow_unauthenticated: true}
  - model: authentik_flows.flowstagebinding
    identifiers: {target: !KeyOf flow, stage: !KeyOf in, order: 0}
"""

ANOTHER_FIRST = b"""
version: 1
entries:
  - model: authentik_flows.flow
    identifiers: {slug: aaa}
    attrs: {name: n, title: t, designation: authentication}
  - model: authentik_brands.brand
    identifiers: {domain: authentik-default}
    attrs: {flow_authentication: null}
"""
NO_FLOW_OF_ITS_OWN = b"""
version: 1
entries:
  - model: authentik_brands.brand
    identifiers: {domain: authentik-default}
    attrs: {flow_authentication: null}
"""


class Site:
    """The shipped flows, and what an administrator's client does to them."""

    def __init__(self, client: TestClient[Any, Any], store: PostgresStore) -> None:
        self._client = client
        self.store = store

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any, list[str]]:
        async with self._client.request(method, f"/api/v3/{path}", json=body, headers=ADMIN) as answer:
            told = answer.headers.getall("Sluice-Warning", [])
            return answer.status, await answer.json() if answer.status != 204 else None, [unquote(text) for text in told]

    async def stage(self, name: str) -> str:
        _, found, _ = await self("GET", f"stages/all/?name={SHIPPED}{name}")
        return f"stages/all/{found['results'][0]['pk']}/"

    async def binding(self, order: int) -> str:
        _, flow, _ = await self("GET", "flows/instances/default-authentication-flow/")
        _, found, _ = await self("GET", f"flows/bindings/?target={flow['pk']}&order={order}")
        return f"flows/bindings/{found['results'][0]['pk']}/"


@pytest_asyncio.fixture
async def site(store: PostgresStore, clock: FixedClock) -> AsyncIterator[Site]:
    await Applying(store, new_pk).apply_shipped()
    app = make_app(routes(Editing(store, new_pk, 0), KnownTokens()), Limits(), SecurityLog(lambda what, size=0, facts=None: None, clock))
    async with TestClient(TestServer(app)) as client:
        yield Site(client, store)


@pytest.mark.parametrize("what", ["password stage", "password binding", "login stage", "login binding", "who", "flow"])
async def test_the_default_log_in_is_taken_apart_only_by_force(site: Site, what: str) -> None:
    path = {
        "password stage": lambda: site.stage("password"),
        "password binding": lambda: site.binding(20),
        "login stage": lambda: site.stage("login"),
        "login binding": lambda: site.binding(100),
        "who": lambda: site.stage("identification"),
    }
    place = await path[what]() if what in path else "flows/instances/default-authentication-flow/"
    status, body, told = await site("DELETE", place)
    assert (status, body["code"], told) == (409, "E_WAY_IN", [])
    assert "?force=true" in body["detail"]
    assert all(text in body["detail"] for text in body["places"])
    assert (await site("GET", place))[0] == 200
    assert way_in(await site.store.catalog())
    status, _, told = await site("DELETE", f"{place}?force=true")
    assert (status, told) == (204, body["places"])
    assert (await site("GET", place))[0] == 404


@pytest.mark.parametrize("flag", ["yes", "1 or so", ""])
async def test_force_is_said_clearly(site: Site, flag: str) -> None:
    status, body, _ = await site("DELETE", f"{await site.stage('password')}?force={flag}")
    assert (status, body) == (400, {"force": ["Must be a valid boolean."]})


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("force=true&force=false", "force"),
        ("force=false&force=true", "force"),
        ("force=true&force=true", "force"),
        ("force=true&end_runs=false&end_runs=true", "end_runs"),
        ("force=true&%65nd_runs=true&end_runs=false", "end_runs"),
    ],
)
async def test_what_is_said_twice_is_done_by_nobody(site: Site, query: str, named: str) -> None:
    place = await site.stage("password")
    for method, path in (("DELETE", f"{place}?{query}"), ("POST", f"stages/deny/?{query}")):
        status, body, _ = await site(method, path, {"name": "new"} if method == "POST" else None)
        assert (status, body) == (400, {named: ["Only one value is allowed."]})
    assert (await site("GET", place))[0] == 200
    assert (await site("GET", "stages/all/?name=new"))[1]["results"] == []


async def test_a_flow_of_nobodys_is_only_warned_of_and_its_names_are_safe_in_a_header(site: Site) -> None:
    name = "log in\r\nSet-Cookie: x=1; ü 100%"
    _, flow, _ = await site("POST", "flows/instances/", {"name": "n", "slug": "z", "title": "t", "designation": "authentication"})
    status, stage, told = await site("POST", "stages/user_login/", {"name": name, "allow_unauthenticated": True})
    assert (status, stage["allow_unauthenticated"]) == (201, True)
    assert told == [f"Stage {name} has allow_unauthenticated: it needs no proof, a name is enough."]
    status, bound, told = await site("POST", "flows/bindings/", {"target": flow["pk"], "stage": stage["pk"], "order": 0})
    assert (status, told) == (
        201,
        [f"Flow z: nothing before {name} (order 0) proves who the visitor is, and by its allow_unauthenticated a name is enough."],
    )
    assert (await site("DELETE", f"flows/bindings/{bound['pk']}/"))[2] == []


async def test_a_file_that_takes_the_proof_is_refused_whole_unless_forced(site: Site) -> None:
    applying, before = Applying(site.store, new_pk), await site.store.catalog()
    files = [File("a.yaml", A_NAME_ALONE), File("b.yaml", NO_PASSWORD)]
    with pytest.raises(WayInLost, match="Flow default-authentication-flow: nothing before default-authentication-login"):
        await applying.apply("ann", files)
    assert (await site.store.catalog()).definitions == before.definitions
    lines = await applying.apply("ann", files, force=True)
    assert [line for line in lines if line.startswith("warning: Flow default-authentication-flow")]
    assert [line for line in lines if line.startswith("warning: Flow name-alone")]
    assert "warning: Stage name-alone-in has allow_unauthenticated: it needs no proof, a name is enough." in lines
    assert len(await applying.weaknesses()) == 3
    assert [line for line in await applying.apply("ann", files) if line.startswith("warning")] == []


async def test_a_new_flow_of_a_file_is_only_warned_of(site: Site) -> None:
    lines = await Applying(site.store, new_pk).apply("ann", [File("a.yaml", A_NAME_ALONE)])
    assert len([line for line in lines if line.startswith("warning: ")]) == 2


async def test_the_flow_that_visitors_would_get_then_is_judged_by_file_and_over_http(site: Site) -> None:
    applying, before = Applying(site.store, new_pk), await site.store.catalog()
    with pytest.raises(WayInLost, match=r"Brand authentik-default, the default, has no log-in left that works\. Flow aaa has no stages"):
        await applying.apply("ann", [File("a.yaml", ANOTHER_FIRST)])
    assert (await site.store.catalog()).definitions == before.definitions
    await applying.apply("ann", [File("a.yaml", NO_FLOW_OF_ITS_OWN)])
    flow = {"name": "n", "slug": "aaa", "title": "t", "designation": "authentication"}
    status, body, _ = await site("POST", "flows/instances/", flow)
    assert (status, body["code"]) == (409, "E_WAY_IN")
    assert "Flow aaa has no stages" in body["places"][0]
    assert (await site("GET", "flows/instances/aaa/"))[0] == 404
    assert (await site("POST", "flows/instances/?force=true", flow))[0] == 201


async def test_a_wall_before_the_login_is_refused_over_http(site: Site) -> None:
    _, flow, _ = await site("GET", "flows/instances/default-authentication-flow/")
    _, stage, _ = await site("POST", "stages/deny/", {"name": "closed"})
    bound = {"target": flow["pk"], "stage": stage["pk"], "order": 5}
    status, body, _ = await site("POST", "flows/bindings/", bound)
    assert (status, body["code"]) == (409, "E_WAY_IN")
    assert "closed (order 5) denies whoever comes there" in body["places"][0]
    assert (await site("POST", "flows/bindings/?force=true", bound))[0] == 201
