"""The first answer of a page that belonged to no session, sent twice: a double click, or a reply that was lost. If it took the
password, both get the same reply and the cookie of the log-in; whoever has the page and not the password gets nothing."""

import asyncio

import pytest

from tests.integration.edge.conftest import onward
from tests.security.attacked import API, PAGE, SESSION, Whole, followed, send
from tests.security.test_cookies_planted_before_the_visitor_came import BOTH, REMEMBER
from tests.unit.executor.world import stage

ENDS = {"login": (BOTH, stage("user_login"))}
ASKS = {"login": (BOTH, REMEMBER)}
WHO = {"uid_field": "alice", "password": "secret"}


@pytest.mark.parametrize("how", ["at once", "after 3 s", "after 29 s"])
async def test_the_same_form_again_gets_the_same_reply_and_its_cookie(how: str) -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        stutter = whole.browser(browser.jar)
        if how == "at once":
            first, second = await asyncio.gather(send(browser, page, **WHO), send(stutter, page, **WHO))
        else:
            first = await send(browser, page, **WHO)
            whole.clock.advance(int(how.split()[1]))
            second = await send(stutter, page, **WHO)
        assert onward(first) == onward(second) == "/"
        assert browser.cookie(SESSION) == stutter.cookie(SESSION)
        assert whole.verified == 1 and len(whole.world.directory.performed) == 1
        assert await whole.is_somebody(stutter)


async def test_it_gets_the_next_page_where_the_log_in_asks() -> None:
    async with Whole(ASKS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        lost = whole.browser(browser.jar)
        await send(browser, page, **WHO)
        asks = await followed(lost, await send(lost, page, **WHO))
        assert browser.cookie(SESSION) == lost.cookie(SESSION)
        assert 'name="remember_me"' in asks.text
        assert whole.verified == 1


async def test_json_alike() -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        await browser.get(API)
        lost = whole.browser(browser.jar)
        first, second = await browser.post(API, WHO), await lost.post(API, WHO)
        assert first.json == second.json == {"component": "xak-flow-redirect", "to": "/"}
        assert browser.cookie(SESSION) == lost.cookie(SESSION)
        assert whole.verified == 1


async def test_the_same_name_again_is_one_answer() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        stutter = whole.browser(browser.jar)
        answers = [await send(one, page, uid_field="alice") for one in (browser, stutter)]
        assert answers[0].headers["Location"] == answers[1].headers["Location"]
        assert browser.cookie(SESSION) == stutter.cookie(SESSION)


async def test_a_wrong_password_again_is_one_wrong_password() -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        answers = [await send(browser, page, **WHO | {"password": "mistyped"}) for _ in range(3)]
        assert len({answer.status for answer in answers}) == 1
        assert whole.verified == 1


@pytest.mark.parametrize("other", [{"password": "wrong"}, {"password": "secret "}, {"password": ""}, {"uid_field": "bob"}, {"more": "1"}])
async def test_another_body_gets_nothing(other: dict[str, str]) -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        thief = whole.browser(browser.jar)
        await send(browser, page, **WHO)
        refused = await send(thief, page, **WHO | other)
        assert "One moment" in refused.text and refused.cookies() == {}
        assert not await whole.is_somebody(thief)
        assert whole.verified == 1


async def test_too_late_it_is_no_repeat() -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        late = whole.browser(browser.jar)
        await send(browser, page, **WHO)
        whole.clock.advance(31)
        await send(late, page, **WHO)
        assert browser.cookie(SESSION) != late.cookie(SESSION)
