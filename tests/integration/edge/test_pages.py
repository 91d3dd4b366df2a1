"""A browser without JavaScript: the forms of the flow page."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from shared.contracts.steps import StepReplied, StepRequested
from tests.integration.edge.conftest import Answer, Browser, Rig, onward
from tests.integration.edge.scripted_worker import AUTH, DUMMY, OUT, OUT_AND_ON

PAGE = f"/if/flow/{AUTH}/"


def hidden(answer: Answer) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', answer.text)}


async def send(browser: Browser, target: str, page: Answer, *, origin: bool = True, **fields: str) -> Answer:
    body = urlencode({**hidden(page), **fields}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **({"Origin": browser.url} if origin else {})}
    return await browser.send("POST", target, headers, body)


async def log_in(browser: Browser, target: str = PAGE) -> Answer:
    first = await browser.get(target)
    assert (await send(browser, target, first, uid_field="alice")).status == 303
    return await send(browser, target, await browser.get(target), password="alice-pw")


async def test_a_person_logs_in_sees_who_they_are_and_logs_out(rig: Rig, browser: Browser) -> None:
    first = await browser.get(PAGE + "?next=%2Fif%2Fuser%2F")
    assert first.status == 200
    assert '<label for="uid_field">Username or email address</label>' in first.text
    assert 'autocomplete="username"' in first.text
    done = await log_in(browser, PAGE + "?next=%2Fif%2Fuser%2F")
    assert onward(done) == "/if/user/"
    assert "Alice Example" in (await browser.get("/if/user/")).text
    entry = await browser.get("/flows/-/default/invalidation/")
    assert entry.headers["Location"] == f"/if/flow/{OUT}/"
    out = await browser.get(entry.headers["Location"])
    assert onward(out) == "/"
    assert "You are not logged in" in (await browser.get("/if/user/")).text


async def test_a_person_sees_the_stages_after_their_log_out_and_goes_on_in_them(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    target = f"/if/flow/{OUT_AND_ON}/"
    shown = await browser.get(target)
    assert shown.status == 200
    assert "You are not logged in" in (await browser.get("/if/user/")).text
    done = await send(browser, target, shown)
    assert onward(done) == "/"
    assert browser.cookie("authentik_session") is None


async def test_an_error_stands_beside_its_field(rig: Rig, browser: Browser) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="alice")
    wrong = await send(browser, PAGE, await browser.get(PAGE), password="nope")
    assert 'aria-invalid="true" aria-describedby="password-error"' in wrong.text
    assert re.search(r'id="password-error" role="alert"><p>Invalid password</p>', wrong.text)
    assert "<title>Error: " in wrong.text
    assert 'autocomplete="current-password"' in wrong.text
    assert "Invalid password" not in (await browser.get(PAGE)).text


async def test_the_page_runs_nothing_and_sends_nowhere_else(rig: Rig, browser: Browser) -> None:
    page = await browser.get(PAGE)
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "form-action 'self'" in policy
    for header, value in (("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")):
        assert page.headers[header] == value
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert 'lang="en"' in page.text


async def test_every_file_that_the_page_names_is_there(rig: Rig, browser: Browser) -> None:
    page = await browser.get(PAGE)
    for target in re.findall(r'(?:href|src)="(/static[^"]+)"', page.text):
        answer = await browser.send("HEAD", target)
        assert answer.status == 200, target
        assert "max-age" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("token", ["", "x", "AAAA"])
async def test_a_wrong_token_gets_the_current_page_and_a_fresh_token(rig: Rig, browser: Browser, token: str) -> None:
    page = await browser.get(PAGE)
    refused = await send(browser, PAGE, page, origin=False, sluice_csrf=token, uid_field="alice")
    assert refused.status == 403
    assert rig.worker.bodies == []
    again = await send(browser, PAGE, refused, uid_field="alice")
    assert again.status == 303
    assert rig.records.kinds == ["csrf"]


async def test_a_form_of_another_browser_is_refused_where_nothing_says_who_sends_it(rig: Rig, browser: Browser) -> None:
    theirs = await browser.get(PAGE)
    browser.jar.clear()
    await browser.get(PAGE)
    assert (await send(browser, PAGE, theirs, origin=False, uid_field="alice")).status == 403
    assert rig.worker.bodies == []


async def test_a_double_click_gets_the_same_answer_cookie_included(rig: Rig, browser: Browser) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="alice")
    page = await browser.get(PAGE)
    before = dict(browser.jar)
    first = await send(browser, PAGE, page, password="alice-pw")
    browser.jar = before
    second = await send(browser, PAGE, page, password="alice-pw")
    assert onward(second) == onward(first)
    assert second.cookies()["authentik_session"] == first.cookies()["authentik_session"]
    assert len(rig.worker.bodies) == 2


async def test_two_tabs_in_two_flows_do_not_disturb_each_other(rig: Rig, browser: Browser) -> None:
    one, other = await browser.get(PAGE), await browser.get(f"/if/flow/{DUMMY}/")
    assert (await send(browser, PAGE, one, uid_field="alice")).status == 303
    assert onward(await send(browser, f"/if/flow/{DUMMY}/", other)) == "/"
    done = await send(browser, PAGE, await browser.get(PAGE), password="alice-pw")
    assert onward(done) == "/"


async def test_the_back_button_shows_the_current_step(rig: Rig, browser: Browser) -> None:
    old = await browser.get(PAGE)
    await send(browser, PAGE, old, uid_field="alice")
    await browser.get(PAGE)
    again = await send(browser, PAGE, old, uid_field="bob")
    assert 'name="password"' in again.text
    assert [body.get("uid_field") for body in rig.worker.bodies] == ["alice"]


async def test_a_slow_step_is_told_and_asked_for_again(rig: Rig, browser: Browser) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="alice")
    page = await browser.get(PAGE)
    with rig.silence():
        waiting = await send(browser, PAGE, page, password="alice-pw")
    assert waiting.status == 200
    assert waiting.headers["Refresh"] == f"2; url={PAGE}?sluice_run=run0"
    assert onward(await browser.get(PAGE)) == "/"
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert browser.cookie("sluice_command", PAGE) is None


async def test_what_is_asked_for_again_is_of_the_run_that_the_page_names_whatever_another_tab_was_shown(rig: Rig, browser: Browser) -> None:
    one = (await send(browser, PAGE, await browser.get(PAGE), uid_field="alice")).headers["Location"]
    mine = await browser.get(one)
    with rig.silence():
        await send(browser, one, mine, password="alice-pw")
    waits = {key: value for key, value in browser.jar.items() if key[0] == "sluice_command"}
    other = (await send(browser, PAGE, await browser.get(PAGE), uid_field="bob")).headers["Location"]
    await browser.get(other)  # the cookie of the path names this one now
    browser.jar.update(waits)
    rig.worker.steps.clear()
    await browser.get(one)
    [asked] = [step for step in rig.worker.steps if step.kind == "state"]
    assert asked.shown is None, "what the page's URL names goes with it, and nothing of the other tab"


async def test_a_page_of_a_superseded_cookie_reloads_itself(rig: Rig, browser: Browser) -> None:
    await browser.get(PAGE)
    planted = dict(browser.jar)
    await log_in(browser)
    browser.jar = planted
    answer = await browser.get(PAGE)
    assert answer.headers["Refresh"].startswith("1; url=")
    assert answer.cookies() == {}


async def test_a_flow_that_is_not_there_is_a_page_of_its_own(rig: Rig, browser: Browser) -> None:
    for slug in ("no-such-flow", "a%2Fb", "%00"):
        answer = await browser.get(f"/if/flow/{slug}/", Accept="text/html")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


async def test_what_the_worker_cannot_do_is_said_with_a_time_to_come_back(rig: Rig, browser: Browser) -> None:
    def busy(step: StepRequested) -> StepReplied:
        return rig.worker.reply(step, "busy", retry_after_s=3)

    rig.worker.forced = busy
    answer = await browser.get(PAGE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
    assert answer.cookies() == {}


async def test_markup_in_a_name_is_shown_as_it_is(rig: Rig, browser: Browser) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="<script>alert(1)</script>{{7*7}}")
    page = await browser.get(PAGE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page.text
    assert "<script" not in page.text
