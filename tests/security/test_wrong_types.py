"""An attacker sends a field of another type than it has, to every stage type that there is: by JSON and by form.

Each gets a field error (or is taken for the text that it spells), never a 503, a traceback or a dead letter; and where a
secret was wrong, it was an attempt. Types are found in the registry, so one that comes later is tried as well.
"""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from shared.contracts import topics, wire
from shared.contracts.definitions import StageBody
from shared.contracts.planner import PlannedStage
from shared.flows.fields import Cleaned, Field, clean
from shared.flows.registry import registry
from shared.flows.stage_types.password import FAILURES
from shared.messaging.log import TopicPartition
from tests.integration.edge.conftest import Browser
from tests.security.json_values import VALUES
from tests.security.whole import Whole, whole
from tests.unit.executor.world import PASSWORD, World, stage

# What makes a type ask, where its defaults do not.
ASKING: dict[str, dict[str, Any]] = {
    "identification": {"user_fields": ("username",), "password_stage": "s-password"},
    "password": PASSWORD | {"failed_attempts_before_cancel": 1000},
    "user_login": {"remember_me_offset": "days=1"},
    "authenticator_validate": {"not_configured_action": "configure", "configuration_stages": ("one", "two")},
}
REFERENCES: dict[str, dict[str, Any]] = {
    "identification": {
        "s-password": StageBody(pk="s-password", name="p", type="password", config=PASSWORD | {"failed_attempts_before_cancel": 1000})
    },
    "authenticator_validate": {pk: StageBody(pk=pk, name=pk, type="dummy", config={}) for pk in ("one", "two")},
}
# What no JSON reader of ours lets through, and a field must not rely on that.
UNREAD: dict[str, Any] = {
    "NaN": float("nan"), "infinity": float("inf"), "an integer of 5000 digits": 10**5000, "half a pair": "\ud800", "64 bits": 2**64,
    "half a pair inside": {"a": "\udfff"}, "NaN inside": {"a": float("nan")}, "5000 digits inside": {"a": [10**5000]},
    "nested without end": json.loads("[" * 200 + "]" * 200), "an object without end": json.loads('{"a":' * 200 + "1" + "}" * 200),
}  # fmt: skip
BODIES: dict[str, Any] = {
    "null": None,
    "list": [],
    "list of answers": [{"password": "secret"}],
    "text": "secret",
    "integer": 5,
    "true": True,
}
DEAD = TopicPartition(topics.DEAD_LETTERS, 0)
TYPES = {name: kind for name, kind in registry().stages.items() if kind.fields}
FIELDS = [(name, field) for name, kind in TYPES.items() for field in kind.fields]


def flow_of(kind: str) -> tuple[PlannedStage, ...]:
    asked = stage(kind, ASKING.get(kind, {})).model_copy(update={"references": REFERENCES.get(kind, {})})
    before = () if kind == "identification" else (stage("identification", {"user_fields": ("username",)}),)
    return (*before, asked, stage("dummy"))


def answer_with(kind: str, field: str, value: Any) -> dict[str, Any]:
    others = {"uid_field": "alice"} if kind == "identification" else {}
    return {**others, field: value}


def test_every_type_with_fields_is_tried() -> None:
    assert len(FIELDS) >= 8


@pytest.mark.parametrize(("kind", "field"), FIELDS)
@pytest.mark.parametrize("value", [*VALUES.values(), *UNREAD.values()], ids=[*VALUES, *UNREAD])
def test_a_field_takes_what_the_history_can_carry_and_refuses_the_rest(kind: str, field: str, value: Any) -> None:
    cleaned = clean(TYPES[kind].fields, answer_with(kind, field, value))
    if isinstance(cleaned, Cleaned):
        carried = wire.pack(dict(cleaned.clear))
        assert wire.unpack(carried, 65_536) is not None
        assert all(isinstance(secret, str) for secret in cleaned.secret.values())
    else:
        assert set(cleaned) & {field}
        assert all(problem.string and problem.code for problem in cleaned[field])


def counts(kind: str, name: str, field: Field, value: Any) -> bool:
    """Whether sending this is an attempt: a secret field, or the password stage, which is answered by nothing else."""
    return kind == "password" or (field.secret and kind == "identification" and name == "password" and value is not None)


@pytest.mark.parametrize("kind", TYPES)
async def test_the_worker_answers_all_of_them_with_a_challenge_and_counts_attempts(kind: str) -> None:
    async with World({"f": flow_of(kind)}) as world:
        attempts = 0
        for name, field in TYPES[kind].fields.items():
            for label, value in VALUES.items():
                browser = world.browser()
                await browser.get("f")
                if kind != "identification":
                    await browser.post({"uid_field": "alice"}, "f")
                reply = await browser.post(answer_with(kind, name, value), "f")
                assert reply.outcome in ("accepted", "current", "offered"), (name, label, reply.reason)
                assert reply.view is not None
                assert reply.view.errors or reply.advanced, (name, label)
                if counts(kind, name, field, value):
                    state = world.workers[0].partitions.owners[3].states.get(browser.session)
                    assert state.counters.get(FAILURES) == 1, (name, label)
                    attempts += 1
        places = await world.log.bounds(DEAD)
        assert places[0] == places[1], "a dead letter"
        assert attempts or not any(field.secret for field in TYPES[kind].fields.values()) or kind == "authenticator_validate"


async def test_a_body_that_is_no_object_is_an_attempt_too() -> None:
    async with World({"f": flow_of("password")}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        for n, body in enumerate(BODIES.values(), 1):
            sealed = json.dumps(body).encode()
            step = browser.compose("answer", "f", {})
            assert step.sealed
            reply = await world.ask(step.model_copy(update={"sealed": step.sealed.model_copy(update={"box": sealed})}))
            browser.take(step, reply)
            assert reply.view and reply.view.errors["non_field_errors"]
            assert world.workers[0].partitions.owners[3].states.get(browser.session).counters[FAILURES] == n


async def test_guesses_of_another_type_end_the_run_like_any_others() -> None:
    flow = (stage("identification", {"user_fields": ("username",)}), stage("password", PASSWORD))
    async with World({"f": flow}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        for guess in (12345, ["secret"], {"a": 1}, True):
            reply = await browser.post({"password": guess}, "f")
            assert reply.view and reply.view.errors["password"]
        reply = await browser.post({"password": 1.5}, "f")
        assert reply.view and reply.view.kind == "denied"


async def test_a_number_is_the_text_that_it_spells() -> None:
    async with World({"f": flow_of("password")}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        reply = await browser.post({"password": 12345}, "f")
        assert reply.view and [problem.string for problem in reply.view.errors["password"]] == ["Invalid password"]


# --- by HTTP ---

LOGIN = "/api/v3/flows/executor/f/?query="
PAGE = "/if/flow/f/"


async def begun(target: Whole, http: aiohttp.ClientSession, path: str, kind: str) -> Browser:
    browser = Browser(target.url, http)
    shown = await browser.get(path, Accept="application/json" if path == LOGIN else "text/html")
    if kind != "identification":
        await (json_sent(browser, {"uid_field": "alice"}) if path == LOGIN else form_sent(browser, shown.text, {"uid_field": "alice"}))
    return browser


async def json_sent(browser: Browser, body: Any) -> Any:
    return await browser.post(LOGIN, body)


async def form_sent(browser: Browser, page: str, fields: dict[str, str]) -> Any:
    hidden = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)}
    sent = urlencode({**hidden, **fields}, errors="surrogatepass").encode()
    return await browser.send("POST", PAGE, {"Content-Type": "application/x-www-form-urlencoded"}, sent)


@pytest.mark.parametrize("kind", TYPES)
async def test_json_of_every_type_is_answered_over_http(kind: str, http: aiohttp.ClientSession) -> None:
    async with whole({"f": flow_of(kind)}) as target:
        for name in TYPES[kind].fields:
            for label, value in VALUES.items():
                browser = await begun(target, http, LOGIN, kind)
                answer = await json_sent(browser, answer_with(kind, name, value))
                assert answer.status in (200, 302), (name, label, answer.text)
                if answer.status == 200:
                    assert answer.json.get("response_errors") or answer.json["component"] == "xak-flow-redirect", (name, label)
        assert await target.dead_letters() == 0
        assert target.defects.found == []


@pytest.mark.parametrize("kind", TYPES)
async def test_forms_of_every_text_are_answered_over_http(kind: str, http: aiohttp.ClientSession) -> None:
    texts = {label: value for label, value in VALUES.items() if isinstance(value, str)}
    texts |= {label: json.dumps(value) for label, value in VALUES.items() if not isinstance(value, str)}
    async with whole({"f": flow_of(kind)}) as target:
        for name in TYPES[kind].fields:
            for label, value in texts.items():
                browser = await begun(target, http, PAGE, kind)
                shown = await browser.get(PAGE, Accept="text/html")
                answer = await form_sent(browser, shown.text, answer_with(kind, name, value))
                assert answer.status in (200, 303), (name, label, answer.text)
        assert await target.dead_letters() == 0
        assert target.defects.found == []
