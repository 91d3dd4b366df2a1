"""What the edge depends on is away, full or wrong: closed by default, in time, and well again afterwards."""

import asyncio
from typing import Any

import aiohttp
import pytest

from services.executor.edge.settings import EdgeSettings
from shared.contracts.codec import encode
from shared.contracts.directory import UserChanged
from shared.contracts.envelope import Envelope
from shared.contracts.steps import StepReplied, StepRequested
from shared.contracts.topics import DIRECTORY_EVENTS, REPLIES, STEPS
from shared.messaging.log import LogUnavailable, Message
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.conftest import Browser, Rig, onward
from tests.integration.edge.scripted_worker import AUTH, NOW
from tests.integration.edge.test_pages import send
from tests.integration.edge.test_protocol import log_in

API = f"/api/v3/flows/executor/{AUTH}/"


@pytest.fixture
def edge_settings() -> EdgeSettings:
    return EdgeSettings(secrets=(b"s" * 32,), reply_wait_s=PATIENT_S, waiting_steps=2)


async def test_a_log_that_takes_no_step_is_a_503_and_the_session_goes_on(
    rig: Rig, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.get(API)

    async def away(message: Message) -> int:
        raise LogUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(rig.log, "append", away)
        answer = await browser.post(API, {"uid_field": "alice"})
        assert (answer.status, answer.json["error"], answer.headers["Retry-After"]) == (503, "E_LOG_UNAVAILABLE", "1")
        assert set(answer.cookies()) == {"sluice_command"}  # the log may hold the step all the same
    assert (await browser.post(API, {"uid_field": "alice"})).status == 302


async def test_without_a_key_nothing_secret_is_taken(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    rig.keys.known = False
    steps = len(rig.worker.steps)
    assert (await browser.post(API, {"uid_field": "alice"})).status == 503
    assert len(rig.worker.steps) == steps
    assert (await browser.get("/-/health/ready/")).status == 503
    rig.keys.known = True
    assert (await browser.post(API, {"uid_field": "alice"})).status == 302
    assert (await browser.get("/-/health/ready/")).status == 200


async def test_a_login_that_nobody_can_check_is_a_503_not_a_log_out(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    rig.logins.away = True
    cookie = browser.cookie("authentik_session")
    for target in ("/api/v3/core/users/me/", "/", API):
        assert (await browser.get(target)).status == 503, target
    assert browser.cookie("authentik_session") == cookie
    rig.logins.away = False
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


async def test_while_nobody_says_that_no_revocation_is_missing_the_edge_stays_ready(rig: Rig, browser: Browser) -> None:
    rig.revocations.silent_s = 6.0  # then PostgreSQL is asked: `test_logins`
    assert (await browser.get("/-/health/ready/")).status == 200


async def test_who_am_i_asks_no_database_once_it_is_warm(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    for _ in range(5):
        assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert (rig.logins.looked_up, rig.logins.asked) == (1, 1)


async def test_a_revoked_login_is_nobody_and_its_cookie_says_so_from_then_on(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    rig.revocations.revoked.add("login1")
    assert (await browser.get("/api/v3/core/users/me/")).status == 403
    await browser.get(API)
    assert rig.worker.steps[-1].login is None
    rig.revocations.revoked.clear()
    assert (await browser.get("/api/v3/core/users/me/")).status == 403


async def test_too_many_that_wait_are_told_to_come_back(rig: Rig, browser: Browser) -> None:
    rig.worker.silent = True
    asking = [asyncio.create_task(browser.get(API)) for _ in range(6)]
    async with asyncio.timeout(PATIENT_S):
        while len(rig.worker.steps) < 2 or sum(task.done() for task in asking) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert [task.result().json["error"] for task in asking if task.done()] == ["edge_full"] * 4
    rig.worker.silent = False
    for step in rig.worker.steps:
        await rig.worker.send(step, rig.worker.decide(step))
    assert sorted(answer.status for answer in await asyncio.gather(*asking)) == [200] * 2 + [503] * 4
    assert (await browser.get(API)).status == 200


async def test_replies_that_are_none_of_ours_are_dropped(rig: Rig, browser: Browser) -> None:
    def to_another_edge(step: StepRequested) -> StepReplied:
        return rig.worker.decide(step).model_copy(update={"edge": "another"})

    rig.worker.forced = to_another_edge
    with rig.impatient():
        assert (await browser.get(API)).json["error"] == "still_working"
    place = rig.worker.steps[-1].reply_partition
    await rig.log.append(Message(REPLIES, place, b"x", b"no reply", ()))
    rig.worker.forced = None
    assert (await browser.get(API)).status == 200


@pytest.mark.parametrize("outcome", ["busy", "unavailable", "refused"])
async def test_the_workers_reasons_reach_the_client(rig: Rig, browser: Browser, outcome: Any) -> None:
    def stopped(step: StepRequested) -> StepReplied:
        return rig.worker.reply(step, outcome, reason="because", retry_after_s=2)

    rig.worker.forced = stopped
    answer = await browser.get(API)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json["error"] == ("busy" if outcome == "busy" else "because")


async def test_the_same_answer_twice_at_the_same_moment_is_taken_once_and_answered_twice(rig: Rig, http: aiohttp.ClientSession) -> None:
    one = Browser(rig.url, http)
    await one.get(API)
    answers = await asyncio.gather(*(one.post(API, {"uid_field": "alice"}) for _ in range(2)))
    assert [answer.status for answer in answers] == [302, 302]
    assert rig.worker.transitions == 2


async def test_a_change_of_a_user_is_seen_at_once(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    await browser.get("/api/v3/core/users/me/")
    asked = rig.logins.asked
    body = UserChanged(user=7, what="changed", at_us=1)
    headers, value = encode(Envelope("i", body.wire_type, body.wire_version, "test", "7", NOW), body)
    await rig.log.append(Message(DIRECTORY_EVENTS, 0, b"7", value, headers))
    async with asyncio.timeout(PATIENT_S):
        while rig.logins.asked == asked:
            assert (await browser.get("/api/v3/core/users/me/")).status == 200


async def test_a_client_that_was_told_to_come_back_gets_the_login_then(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    with rig.silence():
        waiting = await browser.post(API, {"password": "alice-pw"})
    assert (waiting.status, waiting.json["error"], waiting.headers["Retry-After"]) == (503, "still_working", "1")
    done = await browser.get(API)
    assert done.json == {"component": "xak-flow-redirect", "to": "/"}
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert browser.cookie("sluice_command", API) is None


async def test_a_step_that_the_log_took_without_saying_so_is_not_taken_again(
    rig: Rig, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    append, taken = rig.log.append, True

    async def unacknowledged(message: Message) -> int:
        offset = await append(message) if taken or message.topic != STEPS else 0
        if message.topic == STEPS:
            raise LogUnavailable
        return offset

    with monkeypatch.context() as patched:
        patched.setattr(rig.log, "append", unacknowledged)
        assert (await browser.post(API, {"password": "alice-pw"})).status == 503
        taken = False
        assert (await browser.post(API, {"password": "alice-pw"})).json["error"] == "E_LOG_UNAVAILABLE"
    assert (await browser.post(API, {"password": "alice-pw"})).json == {"component": "xak-flow-redirect", "to": "/"}
    assert rig.worker.bodies.count({"password": "alice-pw"}) == 1
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


def unsettled(rig: Rig) -> None:
    """The next answer is taken, and the worker does not know that yet when it replies."""

    def taken(step: StepRequested) -> StepReplied | None:
        if step.kind != "answer":
            return None
        rig.worker.forced = None
        rig.worker.decide(step)
        return rig.worker.reply(step, "unavailable", reason="E_LOG_UNAVAILABLE", retry_after_s=1, unsettled=True)

    rig.worker.forced = taken


@pytest.mark.parametrize("then", ["looks", "sends it again"])
async def test_a_step_of_which_the_worker_cannot_say_whether_it_counts_has_its_reply_later(rig: Rig, browser: Browser, then: str) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    unsettled(rig)
    told = await browser.post(API, {"password": "alice-pw"})
    assert (told.status, told.json["error"], told.headers["Retry-After"]) == (503, "E_LOG_UNAVAILABLE", "1")
    done = await (browser.get(API) if then == "looks" else browser.post(API, {"password": "alice-pw"}))
    assert done.json == {"component": "xak-flow-redirect", "to": "/"}
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert browser.cookie("sluice_command", API) is None


async def test_a_page_whose_answer_may_count_is_asked_again_and_shows_what_came_of_it(rig: Rig, browser: Browser) -> None:
    page = f"/if/flow/{AUTH}/"
    await send(browser, page, await browser.get(page), uid_field="alice")
    half_way = await browser.get(page)
    unsettled(rig)
    assert (await send(browser, page, half_way, password="alice-pw")).status == 503
    assert onward(await browser.get(page)) == "/"
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


async def not_taken_yet(rig: Rig, browser: Browser) -> StepRequested:
    """Half-way; the password was sent, and looked for before anybody has taken it."""
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    held: list[StepRequested] = []

    def holds(step: StepRequested) -> StepReplied | None:
        held.append(step)
        return rig.worker.reply(step, "busy")

    rig.worker.forced = holds
    with rig.silence():
        assert (await browser.post(API, {"password": "alice-pw"})).status == 503
    rig.worker.forced = None
    for _ in range(2):
        assert (await browser.get(API)).json["component"] == "ak-stage-password"
    return held[0]


async def test_what_is_taken_after_it_was_looked_for_has_its_reply_all_the_same(rig: Rig, browser: Browser) -> None:
    """A former owner's last transition may come to stand in the log when its successor has said already how things are."""
    rig.worker.decide(await not_taken_yet(rig, browser))
    assert (await browser.get(API)).json == {"component": "xak-flow-redirect", "to": "/"}
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert browser.cookie("sluice_command", API) is None


async def test_who_looked_for_what_was_not_taken_may_give_another_answer(rig: Rig, browser: Browser) -> None:
    await not_taken_yet(rig, browser)
    assert "response_errors" in (await browser.post(API, {"password": "not it"})).json
    with rig.silence():
        assert (await browser.post(API, {"password": "alice-pw"})).status == 503
    assert (await browser.get(API)).json == {"component": "xak-flow-redirect", "to": "/"}


async def test_of_two_that_were_not_answered_the_newer_has_its_reply(rig: Rig, browser: Browser) -> None:
    await not_taken_yet(rig, browser)
    with rig.silence():
        assert (await browser.post(API, {"password": "alice-pw"})).status == 503
    assert (await browser.get(API)).json == {"component": "xak-flow-redirect", "to": "/"}


@pytest.mark.parametrize("outcome", ["superseded", "refused"])
async def test_who_awaits_a_reply_that_nobody_can_give_any_more_is_not_kept_waiting(rig: Rig, browser: Browser, outcome: Any) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    with rig.silence():
        await browser.post(API, {"password": "alice-pw"})
    session = rig.worker.steps[-1].session

    def over(step: StepRequested) -> StepReplied | None:
        return rig.worker.reply(step, outcome, reason="over", session_over=True) if step.session == session else None

    rig.worker.forced = over
    assert (await browser.get(API)).json["component"] == "ak-stage-identification"
    assert browser.cookie("sluice_command", API) is None


async def test_a_first_answer_that_may_count_is_not_asked_for_again(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    unsettled(rig)
    assert (await browser.post(API, {"uid_field": "alice"})).status == 503
    assert (await browser.get(API)).json["component"] == "ak-stage-password"


async def test_a_page_whose_step_the_log_did_not_acknowledge_says_so_and_is_asked_again(
    rig: Rig, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(message: Message) -> int:
        raise LogUnavailable

    page = f"/if/flow/{AUTH}/"
    with monkeypatch.context() as patched:
        patched.setattr(rig.log, "append", away)
        answer = await browser.get(page)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await browser.get(page)).status == 200


@pytest.mark.parametrize("listener", ["_replies", "_facts"])
async def test_a_listener_that_ends_by_itself_is_the_edges_failure(
    rig: Rig, browser: Browser, monkeypatch: pytest.MonkeyPatch, listener: str
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    part = getattr(rig.edge, listener)
    monkeypatch.setattr(part._following, "_take", broken)
    topic, partition = (REPLIES, part.partition) if listener == "_replies" else (DIRECTORY_EVENTS, 0)
    before = rig.edge.failure
    await rig.log.append(Message(topic, partition, b"x", b"anything", ()))
    async with asyncio.timeout(PATIENT_S):
        while rig.edge.failure is None:  # noqa: ASYNC110 - the process looks at it in the same way
            await asyncio.sleep(0.01)
    assert (before, type(rig.edge.failure)) == (None, ZeroDivisionError)
