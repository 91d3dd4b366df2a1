"""The REST routes over HTTP, on a real PostgreSQL: shapes, texts and status codes as authentik's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from services.catalog.adapters.http.api import routes
from services.catalog.adapters.postgres.store import PostgresStore
from services.catalog.application.applying import Applying
from services.catalog.application.editing import Editing
from services.catalog.application.ids import new_pk
from shared.contracts.directory import TokenChanged
from shared.kernel.clock import FixedClock
from shared.postgres.pool import Database
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog

FLOW = {"name": "o-f", "slug": "o-f", "title": "t", "designation": "authorization"}
ADMIN = {"Authorization": "Bearer admin"}


class KnownTokens:
    def owner(self, token: str) -> TokenChanged | None:
        if token not in ("admin", "alice"):
            return None
        return TokenChanged(hash="h", user=1, username=token, is_superuser=token == "admin", is_active=True)

    def user_of(self, token: str) -> int | None:
        return 1 if token == "a-live-token" else None


class Api:
    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        async with self.client.request(method, f"/api/v3/{path}", json=body, **{"headers": ADMIN, **more}) as answer:
            text = await answer.text()
            assert answer.status == status, text
            if status == 204:
                assert text == ""
                return None
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            return await answer.json()


@pytest_asyncio.fixture
async def api(store: PostgresStore, clock: FixedClock) -> AsyncIterator[Api]:
    records = SecurityLog(lambda what, size=0, facts=None: None, clock)
    app = make_app(routes(Editing(store, new_pk, 0), KnownTokens()), Limits(), records)
    async with TestClient(TestServer(app)) as client:
        yield Api(client)


async def test_a_flow_is_created_shown_listed_and_deleted_by_its_slug(api: Api) -> None:
    created = await api("POST", "flows/instances/", FLOW | {"pk": "x", "background": "/x.png", "unknown": 1}, 201)
    ids = {name: created.pop(name) for name in ("pk", "policybindingmodel_ptr_id")}
    assert created == {
        **FLOW,
        "background": "/static/dist/assets/images/flow_background.jpg",
        "stages": [],
        "policies": [],
        "cache_count": 0,
        "policy_engine_mode": "any",
        "compatibility_mode": False,
        "export_url": "/api/v3/flows/instances/o-f/export/",
        "layout": "stacked",
        "denied_action": "message_continue",
        "authentication": "none",
    }
    assert await api("GET", "flows/instances/o-f/") == ids | created
    listed = await api("GET", "flows/instances/?slug=o-f&whatever=1")
    assert listed["results"] == [ids | created]
    assert listed["pagination"] == {
        "next": 0, "previous": 0, "count": 1, "current": 1, "total_pages": 1, "start_index": 1, "end_index": 1,
    }  # fmt: skip
    assert (await api("GET", f"flows/instances/?flow_uuid={ids['pk']}"))["pagination"]["count"] == 1
    assert (await api("GET", "flows/instances/?slug=other"))["pagination"] == {
        "next": 0, "previous": 0, "count": 0, "current": 1, "total_pages": 1, "start_index": 0, "end_index": 0,
    }  # fmt: skip
    await api("DELETE", "flows/instances/o-f/", status=204)
    assert await api("DELETE", "flows/instances/o-f/", status=404) == {"detail": "Not found."}


async def test_the_login_helper_of_a_replay_can_be_made_and_made_again(api: Api) -> None:
    for _ in range(2):
        await api("DELETE", "flows/instances/o-helper/", status=404)
        body = {"name": "o-helper", "slug": "o-helper", "title": "o", "designation": "stage_configuration"}
        flow = await api("POST", "flows/instances/", body, 201)
        for order, kind, more in (
            (0, "identification", {"user_fields": ["username", "email"]}),
            (10, "password", {"backends": ["authentik.core.auth.InbuiltBackend"]}),
            (20, "user_login", {}),
        ):
            stage = await api("POST", f"stages/{kind}/", {"name": f"o-{kind}", **more}, 201)
            bound = await api("POST", "flows/bindings/", {"target": flow["pk"], "stage": stage["pk"], "order": order}, 201)
            assert bound["stage_obj"]["name"] == f"o-{kind}"
            # The answer to the POST does not know the stage's type, as recorded; a GET does.
            assert (bound["stage_obj"]["component"], bound["stage_obj"]["meta_model_name"]) == ("", "authentik_flows.stage")
            [again] = (await api("GET", f"flows/bindings/?fsb_uuid={bound['pk']}"))["results"]
            assert again["stage_obj"]["component"] == stage["component"]
            assert [one["slug"] for one in bound["stage_obj"]["flow_set"]] == ["o-helper"]
        found = await api("GET", f"flows/bindings/?target={flow['pk']}&page_size=100")
        assert [one["order"] for one in found["results"]] == [0, 10, 20]
        assert (await api("GET", "flows/instances/o-helper/"))["stages"] == [one["stage"] for one in found["results"]]
        await api("DELETE", "flows/instances/o-helper/", status=204)
        for kind in ("identification", "password", "user_login"):
            [stage] = (await api("GET", f"stages/{kind}/?name=o-{kind}"))["results"]
            await api("DELETE", f"stages/{kind}/{stage['pk']}/", status=204)


async def test_a_stage_is_shown_with_its_types_words_and_configuration(api: Api) -> None:
    created = await api("POST", "stages/dummy/", {"name": "o-s"}, 201)
    pk = created.pop("pk")
    assert created == {
        "name": "o-s",
        "component": "ak-stage-dummy-form",
        "verbose_name": "Dummy Stage",
        "verbose_name_plural": "Dummy Stages",
        "meta_model_name": "authentik_stages_dummy.dummystage",
        "flow_set": [],
        "throw_error": False,
    }
    base = {name: value for name, value in created.items() if name != "throw_error"}
    assert await api("GET", f"stages/all/{pk}/") == {"pk": pk} | base
    assert (await api("GET", "stages/all/?name=o-s"))["results"] == [{"pk": pk} | base]
    assert await api("GET", f"stages/deny/{pk}/", status=404) == {"detail": "Not found."}
    assert await api("POST", "stages/deny/", {"name": "o-s"}, 400) == {"name": ["stage with this name already exists."]}
    await api("DELETE", f"stages/all/{pk}/", status=204)


async def test_every_stage_type_has_its_routes(api: Api) -> None:
    for path in ("authenticator/validate", "deny", "dummy", "identification", "password", "user_login", "user_logout"):
        assert (await api("GET", f"stages/{path}/"))["results"] == []


async def test_the_shipped_flows_are_there(api: Api, store: PostgresStore) -> None:
    await Applying(store, new_pk).apply_shipped()
    [stage] = (await api("GET", "stages/all/?name=default-authentication-mfa-validation"))["results"]
    assert stage["component"] == "ak-stage-authenticator-validate-form"
    flow = await api("GET", "flows/instances/default-authentication-flow/")
    assert (flow["name"], flow["title"], len(flow["stages"])) == ("Welcome to authentik!", "Welcome to authentik!", 4)
    bindings = await api("GET", f"flows/bindings/?target={flow['pk']}&ordering=-order")
    assert [one["order"] for one in bindings["results"]] == [100, 30, 20, 10]


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "Authentication credentials were not provided."),
        ("Bearer", "Authentication credentials were not provided."),
        ("admin", "Authentication credentials were not provided."),
        ("Bearer wrong", "Token invalid/expired"),
        ("Bearer  admin", "Token invalid/expired"),
        ("Basic YTpi", "Unsupported authentication type"),
        ("Token admin", "Unsupported authentication type"),
        ("Bearer alice", "You do not have permission to perform this action."),
    ],
)
async def test_only_a_superusers_bearer_token_opens(api: Api, header: str | None, detail: str) -> None:
    headers = {"Authorization": header} if header else {}
    for method, path in (
        ("GET", "flows/instances/"),
        ("POST", "stages/dummy/"),
        ("DELETE", "flows/instances/x/"),
        ("PATCH", "stages/all/"),
    ):
        assert await api(method, path, status=403, headers=headers) == {"detail": detail}
    assert (await api("GET", "flows/instances/", headers={"Authorization": "bearer admin"}))["results"] == []


async def test_without_credentials_a_single_flow_says_what_authentik_says(api: Api) -> None:
    detail = {"detail": "You do not have permission to perform this action."}
    assert await api("GET", "flows/instances/x/", status=403, headers={}) == detail


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "body"),
    [
        (b'{"a":', "application/json", 400, {"detail": "JSON parse error - unexpected end of data: line 1 column 6 (char 5)"}),
        (b"\xef\xbb\xbf{}", "application/json", 400, {"detail": "JSON parse error - json_bom"}),
        (b'{"a": "\xc3\x28"}', "application/json", 400, {"detail": "JSON parse error - json_encoding"}),
        (b'{"name":"a","n\\u0061me":"b"}', "application/json", 400, {"detail": "JSON parse error - json_duplicate_key"}),
        (b'{"name": NaN}', "application/json", 400, {"detail": "JSON parse error - json_number"}),
        (b"[" * 50_000, "application/json", 400, {"detail": "JSON parse error - json_depth"}),
        (b"{} {}", "application/json", 400, {"detail": "JSON parse error - json_trailing"}),
        (b'"x"', "application/json", 400, {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}),
        (b"[]", "application/json", 400, {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (b"null", "application/json", 400, {"non_field_errors": ["No data provided"]}),
        (b"a=b", "application/x-www-form-urlencoded", 415, {"detail": 'Unsupported media type "application/x-www-form-urlencoded" in request.'}),
        (b"{}", "text/plain", 415, {"detail": 'Unsupported media type "text/plain" in request.'}),
        ("{}".encode("utf-16"), "application/json; charset=utf-16", 415, {"detail": 'Unsupported media type "application/json; charset=utf-16" in request.'}),
        (b"{}", "application/json", 400, {"name": ["This field is required."]}),
        (b'{"name": {"$ne": null}}', "application/json", 400, {"name": ["Not a valid string."]}),
    ],
)  # fmt: skip
async def test_bodies_that_are_none_are_refused(api: Api, raw: bytes, content_type: str, status: int, body: Any) -> None:
    async with api.client.post("/api/v3/stages/dummy/", data=raw, headers=ADMIN | {"Content-Type": content_type}) as answer:
        assert (answer.status, await answer.json()) == (status, body)
    assert (await api("GET", "stages/all/"))["results"] == []


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
async def test_no_body_is_an_empty_one(api: Api, content_type: str | None) -> None:
    headers = ADMIN | ({"Content-Type": content_type} if content_type else {})
    async with api.client.post("/api/v3/stages/dummy/", data=b"", headers=headers, skip_auto_headers=("Content-Type",)) as answer:
        assert (answer.status, await answer.json()) == (400, {"name": ["This field is required."]})


async def test_other_methods_and_paths(api: Api) -> None:
    assert await api("POST", "stages/all/", {"name": "x"}, 405) == {"detail": 'Method "POST" not allowed.'}
    assert await api("TRACE", "flows/instances/", None, 405) == {"detail": 'Method "TRACE" not allowed.'}
    async with api.client.options("/api/v3/flows/instances/", headers=ADMIN) as answer:
        assert (answer.status, answer.headers["Allow"]) == (200, "GET, POST, HEAD, OPTIONS")
    async with api.client.get("/api/v3/flows/instances", headers=ADMIN) as answer:
        assert answer.status == 404
    for key in ("0", "-1", "1e3", "{11111111-1111-4111-8111-111111111111}", "11111111111141118111111111111111", "%00", "%c0%ae"):
        assert await api("GET", f"stages/all/{key}/", status=400) == {"detail": "Not a valid UUID."}
    assert await api("GET", "stages/all/11111111-1111-4111-8111-111111111111/", status=404) == {"detail": "Not found."}
    assert await api("GET", "stages/all/?name=a&name=b", status=400) == {"name": ["Only one value is allowed."]}


async def test_a_stage_of_a_newer_release_does_not_hide_the_others(api: Api, database: Database) -> None:
    await api("POST", "stages/dummy/", {"name": "s"}, 201)
    await database.execute("UPDATE definitions SET type = 'hologram'")
    await api("POST", "stages/dummy/", {"name": "t"}, 201)
    found = (await api("GET", "stages/all/"))["results"]
    assert [(one["name"], one["component"]) for one in found] == [("s", ""), ("t", "ak-stage-dummy-form")]


async def test_pages_filters_and_orders(api: Api) -> None:
    for number in range(5):
        await api("POST", "stages/dummy/", {"name": f"s{number}", "throw_error": number == 3}, 201)
    second = await api("GET", "stages/dummy/?page=2&page_size=2")
    assert [one["name"] for one in second["results"]] == ["s2", "s3"]
    assert second["pagination"] == {
        "next": 3, "previous": 1, "count": 5, "current": 2, "total_pages": 3, "start_index": 3, "end_index": 4,
    }  # fmt: skip
    for size in ("0", "-1", "x", "1000000000"):
        assert len((await api("GET", f"stages/dummy/?page_size={size}"))["results"]) == 5
    for page in ("4", "0", "x", "1000000000000"):
        assert await api("GET", f"stages/dummy/?page_size=2&page={page}", status=404) == {"detail": "Invalid page."}
    assert [one["name"] for one in (await api("GET", "stages/dummy/?throw_error=true"))["results"]] == ["s3"]
    assert [one["name"] for one in (await api("GET", "stages/dummy/?search=S4"))["results"]] == ["s4"]
    assert (await api("GET", "stages/dummy/?search=%25"))["results"] == []
    found = (await api("GET", "stages/dummy/?ordering=-name"))["results"]
    assert [one["name"] for one in found] == ["s4", "s3", "s2", "s1", "s0"]
    found = (await api("GET", "stages/dummy/?ordering=password;drop&user__password__startswith=p"))["results"]
    assert len(found) == 5


async def test_filters_by_reference_are_checked_as_recorded(api: Api) -> None:
    assert await api("GET", "flows/bindings/?target=zz", status=400) == {"target": ["“zz” is not a valid UUID."]}
    unknown = await api("GET", "flows/bindings/?target=11111111-1111-4111-8111-111111111111", status=400)
    assert unknown == {"target": ["Select a valid choice. That choice is not one of the available choices."]}


@pytest.mark.parametrize(
    ("path", "problems"),
    [
        ("flows/instances/?designation=x", {"designation": ["Select a valid choice. x is not one of the available choices."]}),
        ("flows/instances/?flow_uuid=x", {"flow_uuid": ["Enter a valid UUID."]}),
        ("flows/bindings/?order=x", {"order": ["Enter a number."]}),
        (
            "flows/bindings/?target=x&policy_engine_mode=x",
            {
                "target": ["“x” is not a valid UUID."],
                "policy_engine_mode": ["Select a valid choice. x is not one of the available choices."],
            },
        ),
        ("stages/user_login/?network_binding=x", {"network_binding": ["Select a valid choice. x is not one of the available choices."]}),
        ("stages/password/?failed_attempts_before_cancel=1e3", {"failed_attempts_before_cancel": ["Enter a number."]}),
    ],
)
async def test_filters_by_what_a_field_cannot_be_are_refused(api: Api, path: str, problems: dict[str, list[str]]) -> None:
    assert await api("GET", path, status=400) == problems


async def test_filters_find_what_has_the_value_and_what_is_no_filter_asks_nothing(api: Api) -> None:
    for name, layout in (("a", "stacked"), ("b", "sidebar_left")):
        await api("POST", "flows/instances/", FLOW | {"name": name, "slug": name, "layout": layout}, 201)
    for name, broken in (("a", True), ("b", False)):
        await api("POST", "stages/dummy/", {"name": name, "throw_error": broken}, 201)
    for path, names in (
        ("flows/instances/?slug=b", ["b"]),
        ("flows/instances/?designation=authorization&name=a", ["a"]),
        ("flows/instances/?designation=recovery", []),
        ("flows/instances/?layout=sidebar_left", ["a", "b"]),
        ("flows/instances/?designation=", ["a", "b"]),
        ("stages/dummy/?throw_error=TRUE", ["a"]),
        ("stages/dummy/?throw_error=perhaps", ["a", "b"]),
        ("stages/all/?throw_error=true", ["a", "b"]),
        ("stages/all/?name=b", ["b"]),
        ("stages/dummy/?page=last&page_size=1", ["b"]),
    ):
        assert [one["name"] for one in (await api("GET", path))["results"]] == names, path


async def test_end_runs_is_a_yes_or_a_no(api: Api, database: Database) -> None:
    flow = await api("POST", "flows/instances/?end_runs=true", FLOW, 201)
    stage = await api("POST", "stages/dummy/", {"name": "s"}, 201)
    await api("POST", "flows/bindings/?end_runs=TRUE", {"target": flow["pk"], "stage": stage["pk"], "order": 0}, 201)
    row = await database.fetchrow("SELECT runs_from FROM pointers WHERE kind = 'flow' AND pk = $1::text::uuid", flow["pk"])
    assert row is not None
    assert row["runs_from"] == 2
    for wrong in ("", "perhaps", "2", "true%0d%0a"):
        refused = await api("DELETE", f"stages/dummy/{stage['pk']}/?end_runs={wrong}", status=400)
        assert refused == {"end_runs": ["Must be a valid boolean."]}
    await api("DELETE", f"stages/dummy/{stage['pk']}/?end_runs=1", status=204)
