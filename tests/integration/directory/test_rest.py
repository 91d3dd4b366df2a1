"""The user API over HTTP, as authentik 2024.8.3 answers, with tokens known from the log that the relay fills."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from services.executor.directory.naming import NewUser
from services.executor.directory.rest import UsersApi
from services.executor.directory.tokens import create_token, revoke_token
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.postgres.relay import Relay
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.token_projection import TokenProjection
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People

Client = TestClient[web.Request, web.Application]
ROOT = "/api/v3/core/users/"


@asynccontextmanager
async def relayed(people: People) -> AsyncIterator[TokenProjection]:
    log = await EmbeddedLog.open(TOPICS, None)
    relay = asyncio.create_task(Relay(people.database, log, SystemClock()).run())
    tokens = TokenProjection(log, DeadLetters(log, "executor", people.clock), people.clock)
    with pytest.raises(Unavailable):
        tokens.owner("root-token")
    await tokens.start()
    yield tokens
    await tokens.stop()
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await log.close()


async def known(tokens: TokenProjection, token: str, *, wanted: bool = True) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not tokens.ready or (tokens.user_of(token) is not None) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def records() -> list[str]:
    """The classes of the security records that were written."""
    return []


@pytest.fixture
async def client(people: People, records: list[str]) -> AsyncIterator[Client]:
    root = await people.users.create(NewUser("root", superuser=True))
    plain = await people.make("plain")
    await create_token(people.database, people.clock, root.pk, "root", token="root-token")
    await create_token(people.database, people.clock, plain.pk, "plain", token="plain-token")
    async with relayed(people) as tokens:
        log = SecurityLog(lambda what, size=0, facts=None: records.append(what), people.clock)
        app = make_app(UsersApi(people.users, tokens).routes(), Limits(), log)
        for token in ("root-token", "plain-token"):
            await known(tokens, token)
        async with TestClient(TestServer(app), headers={"Authorization": "Bearer root-token"}) as client:
            yield client


async def post(client: Client, path: str, body: Any, **more: Any) -> tuple[int, Any]:
    async with client.post(path, json=body, **more) as answer:
        return answer.status, await answer.json() if answer.status != 204 else None


async def test_a_user_is_made_given_a_password_listed_and_deleted(client: Client, people: People) -> None:
    status, made = await post(client, ROOT, {"username": "alice", "name": "Alice Example", "email": "alice@example.com", "strange": 1})
    assert status == 201
    assert {name: value for name, value in made.items() if name not in ("pk", "uuid", "uid", "avatar")} == {
        "username": "alice", "name": "Alice Example", "is_active": True, "last_login": None, "is_superuser": False, "groups": [],
        "groups_obj": [], "email": "alice@example.com", "attributes": {}, "path": "users", "type": "internal",
    }  # fmt: skip
    assert made["avatar"].startswith("data:image/svg+xml;base64,")
    assert await post(client, f"{ROOT}{made['pk']}/set_password/", {"password": " alice-pw "}) == (204, None)
    assert (await people.guess(made["pk"], " alice-pw ")).outcome == "ok"
    async with client.get(ROOT, params={"username": "alice"}) as answer:
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
        assert await answer.json() == {
            "pagination": {"next": 0, "previous": 0, "count": 1, "current": 1, "total_pages": 1, "start_index": 1, "end_index": 1},
            "results": [made],
        }
    for expected in (204, 404):
        async with client.delete(f"{ROOT}{made['pk']}/") as answer:
            assert answer.status == expected
    async with client.get(ROOT, params={"username": "alice"}) as answer:
        pagination = (await answer.json())["pagination"]
        assert pagination == {"next": 0, "previous": 0, "count": 0, "current": 1, "total_pages": 1, "start_index": 0, "end_index": 0}


async def test_fields_that_are_not_the_senders_to_write_change_nothing(client: Client, people: People) -> None:
    mine = {"is_superuser": True, "pk": 1, "uid": "0" * 64, "uuid": "11111111-1111-4111-8111-111111111111", "epoch": 9, "superuser": True,
            "password": "a" * 20, "hash_allowed": True, "groups_obj": [{"name": "authentik Admins"}]}  # fmt: skip
    status, made = await post(client, ROOT, {"username": "alice", "name": "Alice", **mine})
    assert status == 201
    assert (made["is_superuser"], made["groups"], made["groups_obj"]) == (False, [], [])
    assert made["pk"] != 1 and made["uid"] != mine["uid"] and made["uuid"] != mine["uuid"]
    stored = await people.users.get(made["pk"])
    assert stored is not None
    assert (stored.facts.is_superuser, stored.facts.epoch) == (False, 0)
    assert (await people.guess(made["pk"], "a" * 20, identifier="alice")).outcome == "wrong"


async def test_the_last_administrator_is_deleted_only_by_force(client: Client, people: People) -> None:
    root = await people.users.named("root")
    assert root is not None
    url = f"{ROOT}{root.pk}/"
    async with client.delete(url) as answer:
        refused = await answer.json()
        assert (answer.status, refused["code"], "?force=true" in refused["detail"]) == (409, "E_LAST_ADMINISTRATOR", True)
    for query, wrong in (("?force=perhaps", "Must be a valid boolean."), ("?force=true&force=true", "Only one value is allowed.")):
        async with client.delete(URL(url + query, encoded=True)) as answer:
            assert (answer.status, await answer.json()) == (400, {"force": [wrong]})
    async with client.get(url) as answer:
        assert answer.status == 200
    async with client.delete(f"{url}?force=true") as answer:
        assert answer.status == 204


async def test_users_are_shown_with_their_groups_and_times(client: Client, people: People) -> None:
    root = await people.users.named("root")
    assert root is not None
    await people.log_in(root.facts)
    async with client.get(f"{ROOT}{root.pk}/") as answer:
        shown = await answer.json()
    assert shown["last_login"] == "2023-11-14T22:13:20.000000Z"
    assert shown["is_superuser"] is True
    (group,) = shown["groups_obj"]
    assert group == {
        "pk": shown["groups"][0], "num_pk": 1, "name": "authentik Admins", "is_superuser": True, "parent": None, "parent_name": None,
        "attributes": {},
    }  # fmt: skip
    status, made = await post(client, ROOT, {"username": "second", "name": "", "groups": shown["groups"]})
    assert (status, made["is_superuser"]) == (201, True)


async def test_pages(client: Client, people: People) -> None:
    for n in range(3):
        await people.make(f"user{n}", None)
    async with client.get(ROOT, params={"page": "2", "page_size": "2"}) as answer:
        body = await answer.json()
    assert [user["username"] for user in body["results"]] == ["user0", "user1"]
    assert body["pagination"] == {"next": 3, "previous": 1, "count": 5, "current": 2, "total_pages": 3, "start_index": 3, "end_index": 4}
    async with client.get(ROOT, params={"page": "9", "page_size": "2"}) as answer:
        assert (answer.status, await answer.json()) == (404, {"detail": "Invalid page."})
    for size in ("0", "-1", "x", "1000000000000"):
        async with client.get(ROOT, params={"page_size": size}) as answer:
            assert (answer.status, len((await answer.json())["results"])) == (200, 5)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"username": ["This field is required."], "name": ["This field is required."]}),
        ({"username": None, "name": None}, {"username": ["This field may not be null."], "name": ["This field may not be null."]}),
        ({"username": " ", "name": ""}, {"username": ["This field may not be blank."]}),
        ({"username": ["x"], "name": True}, {"username": ["Not a valid string."], "name": ["Not a valid string."]}),
        ({"username": "x" * 151, "name": ""}, {"username": ["Ensure this field has no more than 150 characters."]}),
        ({"username": "PLAIN", "name": ""}, {"username": ["This field must be unique."]}),
        ({"username": "me", "name": ""}, {"username": ["This username is reserved."]}),
        (
            {"username": "pl\u0430in", "name": ""},
            {"username": ["A username cannot mix letters of alphabets that can be mistaken for each other (Cyrillic, Latin)."]},
        ),
        ({"username": "x\u200by", "name": ""}, {"username": ["A username cannot contain characters that cannot be seen (U+200B)."]}),
        ({"username": "pla\u0131n", "name": ""}, {"username": ["This username looks like that of another user."]}),
        ({"username": "x", "name": "", "email": "nonsense"}, {"email": ["Enter a valid email address."]}),
        ({"username": "x", "name": "", "is_active": "perhaps"}, {"is_active": ["Must be a valid boolean."]}),
        ({"username": "x", "name": "", "is_active": None}, {"is_active": ["This field may not be null."]}),
        ({"username": "x", "name": "", "is_active": []}, {"is_active": ["Must be a valid boolean."]}),
        ({"username": "x", "name": "", "type": "alien"}, {"type": ['"alien" is not a valid choice.']}),
        ({"username": "x", "name": "", "attributes": []}, {"attributes": ["Value must be a dictionary, and not have any duplicate keys."]}),
        ({"username": "x", "name": "", "groups": ["x"]}, {"groups": ["\u201cx\u201d is not a valid UUID."]}),
        (
            {"username": "x", "name": "", "groups": ["11111111-1111-4111-8111-111111111111"]},
            {"groups": ['Invalid pk "11111111-1111-4111-8111-111111111111" - object does not exist.']},
        ),
        ({"username": "x\0", "name": ""}, {"username": ["Null characters are not allowed."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
async def test_what_is_wrong_is_told_by_field(client: Client, people: People, body: Any, errors: dict[str, list[str]]) -> None:
    assert await post(client, ROOT, body) == (400, errors)
    assert (await people.users.page(1, 10))[0] == 2


async def test_bodies_that_are_no_json_object_are_refused(client: Client) -> None:
    async with client.post(ROOT, data=b'{"a":', headers={"Content-Type": "application/json"}) as answer:
        detail = "JSON parse error - unexpected end of data: line 1 column 6 (char 5)"
        assert (answer.status, await answer.json()) == (400, {"detail": detail})
    async with client.post(ROOT, data={"a": "b"}) as answer:
        assert answer.status == 415
        assert await answer.json() == {"detail": 'Unsupported media type "application/x-www-form-urlencoded" in request.'}


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16", "application/json; charset=latin-1", "text/json"])
async def test_bodies_of_another_kind_or_charset_are_refused_and_nobody_is_made(client: Client, people: People, kind: str) -> None:
    before = (await people.users.page(1, 10))[0]
    async with client.post(ROOT, data=b'{"username": "zoe", "name": ""}', headers={"Content-Type": kind}) as answer:
        assert (answer.status, await answer.json()) == (415, {"detail": f'Unsupported media type "{kind}" in request.'})
    assert (await people.users.page(1, 10))[0] == before


@pytest.mark.parametrize(("sent", "active"), [(True, True), ("true", True), (1, True), ("no", False), (0, False)])
async def test_truths_are_taken_in_the_spellings_of_the_flow_protocol(client: Client, sent: object, active: bool) -> None:
    status, user = await post(client, ROOT, {"username": "truth", "name": "", "is_active": sent})
    assert (status, user["is_active"]) == (201, active)


@pytest.mark.parametrize(
    ("pk", "status", "detail"),
    [
        ("0", 404, "Not found."),
        ("99999999999999999999", 404, "Not found."),
        ("-1", 400, "Not a valid number."),
        ("01", 400, "Not a valid number."),
        ("1e3", 400, "Not a valid number."),
        ("%EF%BC%91", 400, "Not a valid number."),
        ("1%0A", 400, "Not a valid number."),
    ],
)
async def test_a_number_is_written_in_one_way(client: Client, pk: str, status: int, detail: str) -> None:
    async with client.get(URL(f"{ROOT}{pk}/", encoded=True)) as answer:
        assert (answer.status, await answer.json()) == (status, {"detail": detail})


async def test_a_parameter_that_comes_twice_is_refused(client: Client) -> None:
    async with client.get(f"{ROOT}?username=plain&username=root") as answer:
        assert (answer.status, await answer.json()) == (400, {"username": ["Only one value is allowed."]})


async def test_no_body_is_an_empty_one_and_null_is_none(client: Client) -> None:
    async with client.post(ROOT, data=b"null", headers={"Content-Type": "application/json"}) as answer:
        assert (answer.status, await answer.json()) == (400, {"non_field_errors": ["No data provided"]})
    async with client.post(ROOT, data=b"", headers={"Content-Type": "application/json"}) as answer:
        wanted = {"username": ["This field is required."], "name": ["This field is required."]}
        assert (answer.status, await answer.json()) == (400, wanted)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "", "GET, POST, HEAD, OPTIONS"),
        ("PATCH", "1/", "GET, DELETE, HEAD, OPTIONS"),
        ("GET", "1/set_password/", "POST, OPTIONS"),
    ],
)
async def test_methods_that_are_not_there_are_refused_in_authentiks_words(client: Client, method: str, path: str, allow: str) -> None:
    async with client.request(method, ROOT + path) as answer:
        assert (answer.status, await answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})
        assert answer.headers["Allow"] == allow
    async with client.options(ROOT + path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (200, allow)


async def test_passwords_that_are_none_are_refused(client: Client, people: People) -> None:
    plain = await people.users.named("plain")
    assert plain is not None
    path = f"{ROOT}{plain.pk}/set_password/"
    assert await post(client, path, {}) == (400, {"password": ["This field is required."]})
    assert await post(client, path, {"password": ""}) == (400, {"password": ["This field may not be blank."]})
    assert await post(client, path, {"password": "x" * 1025}) == (400, {"password": ["Ensure this field has no more than 1024 bytes."]})
    assert await post(client, path, {"password": "\U0001f600" * 256}) == (204, None)
    assert await post(client, f"{ROOT}99999999/set_password/", {"password": "x"}) == (404, {"detail": "Not found."})
    assert await post(client, f"{ROOT}9999999999/set_password/", {"password": "x"}) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "Authentication credentials were not provided."),
        ("root-token", "Authentication credentials were not provided."),
        ("Bearer", "Authentication credentials were not provided."),
        ("Bearer wrong", "Token invalid/expired"),
        ("Bearer  root-token", "Token invalid/expired"),
        ("Basic YTpi", "Unsupported authentication type"),
        ("Token root-token", "Unsupported authentication type"),
        ("Bearer plain-token", "You do not have permission to perform this action."),
    ],
)
async def test_others_than_superusers_get_nothing(client: Client, people: People, authorization: str, detail: str) -> None:
    headers = {"Authorization": authorization}
    root = await people.users.named("root")
    assert root is not None
    for method, path in [("GET", ROOT), ("POST", ROOT), ("DELETE", f"{ROOT}{root.pk}/"), ("POST", f"{ROOT}{root.pk}/set_password/")]:
        async with client.request(method, path, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (403, {"detail": detail})
    assert await people.users.get(root.pk) is not None


async def test_a_token_that_nobody_has_leaves_a_security_record(client: Client, records: list[str]) -> None:
    for authorization in ("", "Bearer plain-token", "Bearer wrong"):
        async with client.get(ROOT, headers={"Authorization": authorization}) as answer:
            assert answer.status == 403
    assert records == ["token_invalid"]


async def test_the_scheme_is_taken_in_any_case(client: Client) -> None:
    async with client.get(ROOT, headers={"Authorization": "bearer root-token"}) as answer:
        assert answer.status == 200


async def test_tokens_end_by_expiry_revocation_and_disabling(people: People) -> None:
    alice = await people.make()
    for name, expires_us in (("expiring", people.clock.now_us() + 1_000_000), ("revoked", None), ("disabled", None)):
        await create_token(people.database, people.clock, alice.pk, name, token=name, expires_us=expires_us)
    async with relayed(people) as tokens:
        for name in ("expiring", "revoked", "disabled"):
            await known(tokens, name)
        people.clock.advance(1)
        assert tokens.user_of("expiring") is None
        await revoke_token(people.database, people.clock, "revoked")
        await known(tokens, "revoked", wanted=False)
        await people.users.set_active(alice.pk, active=False)
        await known(tokens, "disabled", wanted=False)
        await people.users.set_active(alice.pk, active=True)
        await known(tokens, "disabled")
        assert tokens.failure is None


async def test_the_list_can_be_of_those_who_share_an_identifier(client: Client, people: People) -> None:
    for name, email in (("one", "team@example.org"), ("two", "TEAM@example.org"), ("three", "three@example.org")):
        await people.make(name, None, email=email)
    for value, names in (
        ("true", ["one", "two"]),
        ("True", ["one", "two"]),
        ("1", ["one", "two"]),
        ("false", ["one", "three", "two"]),
        ("", None),
    ):
        async with client.get(ROOT, params={"ambiguous": value, "page_size": "50"}) as answer:
            body = await answer.json()
            found = [user["username"] for user in body["results"]]
            assert (answer.status, body["pagination"]["count"]) == (200, len(found))
            assert set(names or ["one"]) <= set(found)
            assert names is None or "three" in names or "three" not in found


@pytest.mark.parametrize("name", ["j\u00fcrgen", "Ann Lee", "O'Brien", "\u7530\u4e2d", "CORP\\\\alice", "<b>"])
async def test_names_that_people_have_are_made_listed_and_found(client: Client, name: str) -> None:
    status, made = await post(client, ROOT, {"username": name, "name": ""})
    assert (status, made["username"]) == (201, name)
    async with client.get(ROOT, params={"username": name}) as answer:
        assert [user["username"] for user in (await answer.json())["results"]] == [name]


async def test_what_is_made_in_another_form_of_a_name_is_found_in_it(client: Client) -> None:
    status, made = await post(client, ROOT, {"username": "ju\u0308rgen", "name": ""})
    assert (status, made["username"]) == (201, "j\u00fcrgen")
    for name, count in (("ju\u0308rgen", 1), ("j\u00fcrgen", 1), ("J\u00fcrgen", 0), ("jurgen", 0)):
        async with client.get(ROOT, params={"username": name}) as answer:
            assert (await answer.json())["pagination"]["count"] == count
