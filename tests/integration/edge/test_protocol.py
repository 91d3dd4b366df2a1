"""The flow protocol over HTTP, step by step."""

from functools import partial

import pytest

from shared.contracts.steps import StepReplied, StepRequested, View
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, DUMMY, FLOWS, OUT, OUT_AND_ON, Run

API = f"/api/v3/flows/executor/{AUTH}/"


async def log_in(browser: Browser) -> None:
    await browser.get(API + "?query=")
    await browser.post(API + "?query=", {"uid_field": "alice"})
    await browser.post(API + "?query=", {"password": "alice-pw"})


async def test_a_login_goes_through_identification_and_password(rig: Rig, browser: Browser) -> None:
    start = await browser.get(API + "?query=")
    assert (start.status, start.json["component"]) == (200, "ak-stage-identification")
    assert set(start.cookies()) == {"authentik_session", "sluice_step"}
    named = await browser.post(API + "?query=", {"uid_field": "alice"})
    assert (named.status, named.headers["Location"]) == (302, API + "?query=")
    asked = await browser.get(API + "?query=")
    assert (asked.json["component"], asked.json["pending_user"]) == ("ak-stage-password", "alice")
    wrong = await browser.post(API + "?query=", {"password": "nope"})
    assert wrong.json["response_errors"] == {"password": [{"string": "Invalid password", "code": "invalid"}]}
    before = browser.cookie("authentik_session")
    done = await browser.post(API + "?query=", {"password": "alice-pw"})
    assert done.json == {"component": "xak-flow-redirect", "to": "/"}
    assert set(done.cookies()) == {"authentik_session", "authentik_csrf", "sluice_step", "sluice_device"}
    assert browser.cookie("authentik_session") != before
    me = await browser.get("/api/v3/core/users/me/")
    assert me.status == 200
    assert '"username":"alice"' in me.text


async def test_the_session_cookie_keeps_its_value_while_privilege_is_the_same(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    first = browser.cookie("authentik_session")
    for body in ({}, {"uid_field": "alice"}, {"password": "nope"}):
        answer = await browser.post(API, body)
        assert answer.cookies()["authentik_session"] == f"authentik_session={first}; HttpOnly; Path=/; SameSite=Lax"


async def test_a_get_is_served_from_the_cache_unless_something_newer_was_shown(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    asked = len(rig.worker.steps)
    await browser.get(API)
    assert len(rig.worker.steps) == asked
    del browser.jar["sluice_step", API]
    await browser.get(API)
    assert len(rig.worker.steps) == asked + 1


async def test_an_answer_is_sealed_and_its_secret_is_nowhere_in_the_step(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    await browser.post(API, {"password": "alice-pw"})
    assert rig.worker.bodies[-1] == {"password": "alice-pw"}
    assert "alice-pw" not in repr(rig.worker.steps)


async def test_an_answer_to_another_flows_page_is_not_delivered(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    await browser.get(f"/api/v3/flows/executor/{DUMMY}/")
    browser.jar["sluice_step", API] = browser.jar["sluice_step", f"/api/v3/flows/executor/{DUMMY}/"]
    answer = await browser.post(API, {"uid_field": "alice"})
    assert answer.json["component"] == "ak-stage-identification"
    assert rig.worker.bodies == []


async def test_a_stale_answer_shows_the_current_challenge_and_counts_nothing(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    old = browser.jar["sluice_step", API]
    await browser.post(API, {"uid_field": "alice"})
    browser.jar["sluice_step", API] = old
    transitions = rig.worker.transitions
    answer = await browser.post(API, {"uid_field": "bob"})
    assert answer.json["component"] == "ak-stage-password"
    assert rig.worker.transitions == transitions


async def test_a_cookie_from_before_the_login_is_worth_nothing_after_it(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    planted = dict(browser.jar)
    await log_in(browser)
    browser.jar = planted
    answer = await browser.get(API)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.cookies() == {}
    assert (await browser.get("/api/v3/core/users/me/")).status == 403


@pytest.mark.parametrize(("active", "status"), [(True, 200), (False, 403)])
async def test_a_token_of_somebody_who_is_disabled_is_nobodys(active: bool, status: int, rig: Rig, browser: Browser) -> None:
    rig.logins.active = active
    assert (await browser.get("/api/v3/core/users/me/", Authorization="Bearer good-token")).status == status


async def test_nothing_sets_a_session_cookie_that_needs_none(rig: Rig, browser: Browser) -> None:
    for target in (
        "/",
        "/flows/-/default/authentication/",
        "/flows/-/cancel/",
        f"/api/v3/flows/executor/{OUT}/",
        "/api/v3/flows/executor/none/",
    ):
        answer = await browser.get(target)
        assert "authentik_session" not in answer.cookies(), target


async def test_a_flow_that_was_over_at_once_began_a_session_all_the_same(rig: Rig, browser: Browser) -> None:
    def over(step: StepRequested) -> StepReplied:
        view = View(kind="denied", flow=FLOWS[DUMMY], title=DUMMY, component="ak-stage-access-denied", person="", message="No")
        return rig.worker.reply(step, "accepted", Run("r", version=1, over=True, view=view))

    rig.worker.forced = over
    denied = await browser.get(f"/api/v3/flows/executor/{DUMMY}/?query=")
    assert denied.json["component"] == "ak-stage-access-denied"
    assert denied.cookies()["authentik_session"].endswith("; HttpOnly; Path=/; SameSite=Lax")


def broken(rig: Rig, step: StepRequested) -> StepReplied:
    view = View(kind="error", flow=FLOWS[DUMMY], title=DUMMY, component="ak-stage-flow-error", message="Test error")
    return rig.worker.reply(step, "accepted", Run("r", version=1, view=view))


async def test_what_is_wrong_with_a_flow_is_told_to_superusers_only(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    rig.worker.forced = partial(broken, rig)
    target = f"/api/v3/flows/executor/{DUMMY}/?query="
    assert set((await browser.get(target)).json) == {"component", "request_id"}
    rig.logins.away = True
    assert set((await browser.get(target)).json) == {"component", "request_id"}


async def test_a_superuser_learns_what_is_wrong_with_a_flow(rig: Rig, browser: Browser) -> None:
    rig.logins.superuser = True
    await log_in(browser)
    rig.worker.forced = partial(broken, rig)
    told = (await browser.get(f"/api/v3/flows/executor/{DUMMY}/?query=")).json
    assert (told["component"], told["error"]) == ("ak-stage-flow-error", "Test error")


async def test_a_log_out_deletes_the_cookie_and_ends_the_login(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    answer = await browser.get(f"/api/v3/flows/executor/{OUT}/?query=")
    assert answer.json == {"component": "xak-flow-redirect", "to": "/"}
    assert "Max-Age=0" in answer.cookies()["authentik_session"]
    assert (await browser.get("/api/v3/core/users/me/")).status == 403


async def test_stages_after_a_log_out_are_shown_under_another_cookie_which_is_nobodys(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    old = dict(browser.jar)
    target = f"/api/v3/flows/executor/{OUT_AND_ON}/?query="
    shown = await browser.get(target)
    assert shown.json["component"] == "ak-stage-dummy"
    line = shown.cookies()["authentik_session"]
    assert line.endswith("; HttpOnly; Path=/; SameSite=Lax")
    assert browser.cookie("authentik_session") != old["authentik_session", "/"]
    assert (await browser.get("/api/v3/core/users/me/")).status == 403

    asked = len(rig.worker.steps)
    assert (await browser.get(target)).json["component"] == "ak-stage-dummy"
    assert len(rig.worker.steps) == asked  # from the cache
    newer, browser.jar = dict(browser.jar), {**browser.jar, ("authentik_session", "/"): old["authentik_session", "/"]}
    # Nobody has told this edge yet that the login is over, and still the old cookie brings nothing.
    late = await browser.get(target)
    assert (late.status, late.headers["Retry-After"], late.cookies()) == (503, "1", {})

    browser.jar = newer
    done = await browser.post(target, {})
    assert done.json == {"component": "xak-flow-redirect", "to": "/"}
    assert "Max-Age=0" in done.cookies()["authentik_session"]
    assert rig.worker.steps[-1].login is None


async def test_another_site_logs_nobody_out(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    steps = len(rig.worker.steps)
    for target in (f"/api/v3/flows/executor/{OUT}/", f"/if/flow/{OUT}/", "/flows/-/cancel/"):
        await browser.get(target, Sec_Fetch_Site="cross-site")
    assert len(rig.worker.steps) == steps
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


async def test_a_session_that_is_over_is_followed_by_a_fresh_one_with_the_same_login(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    old = rig.worker.steps[-1].session
    rig.worker.sessions[old].over = True
    answer = await browser.get(API)
    assert answer.json["component"] == "ak-stage-identification"
    assert rig.worker.steps[-1].session != old
    assert rig.worker.steps[-1].login is not None
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


async def test_somebody_logged_in_needs_the_csrf_header(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    await browser.get(API)
    bodies = len(rig.worker.bodies)
    refused = await browser.post(API, {"uid_field": "alice"})
    assert refused.json["component"] == "ak-stage-flow-error"
    token = browser.cookie("authentik_csrf") or ""
    taken = await browser.post(API, {"uid_field": "alice"}, X_authentik_CSRF=token)
    assert taken.status == 302
    assert len(rig.worker.bodies) == bodies + 1
    assert rig.records.kinds == ["csrf"]


async def test_a_foreign_origin_is_refused(rig: Rig, browser: Browser) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": rig.url, "Sec_Fetch_Site": "same-site"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        answer = await browser.post(API, {"uid_field": "alice"}, **headers)
        assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+json; charset=utf-8")
    assert rig.worker.steps == []
    assert (await browser.post(API, {"uid_field": "alice"}, Origin=rig.url)).status == 302


async def test_an_answer_to_a_session_that_is_over_is_not_delivered_to_the_next_one(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    rig.worker.sessions[rig.worker.steps[-1].session].over = True
    answer = await browser.post(API, {"uid_field": "alice"})
    assert answer.json["component"] == "ak-stage-identification"
    [why] = answer.json["response_errors"]["non_field_errors"]  # type: ignore[index]
    assert why["code"] == "session_over", "what was answered is not looked at"
    assert rig.worker.bodies == []


async def test_what_takes_no_step_sets_no_cookie_that_the_owner_does_not_vouch_for(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    vouched = await browser.send("PUT", API)
    assert vouched.cookies().keys() == {"authentik_session"}
    rig.worker.sessions[rig.worker.steps[-1].session].over = True
    refused = await browser.send("PUT", API)
    assert (refused.status, refused.json["component"], refused.cookies()) == (200, "ak-stage-flow-error", {})


async def test_a_get_shows_no_errors_of_an_earlier_answer(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    assert "response_errors" in (await browser.post(API, {})).json
    assert "response_errors" not in (await browser.get(API)).json
    del browser.jar["sluice_step", API]
    assert "response_errors" not in (await browser.get(API)).json
