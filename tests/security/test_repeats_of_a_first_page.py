"""The first answer of a page that belonged to no session, sent twice: a double click, or a reply that was lost. If it took the
password, both get the same reply and the cookie of the log-in; whoever has the page and not the password gets nothing."""

import asyncio

import pytest

from shared.contracts.planner import PlannedStage
from tests.integration.edge.conftest import Answer, Browser, onward
from tests.security.attacked import API, PAGE, SESSION, Whole, followed, send
from tests.security.test_cookies_planted_before_the_visitor_came import BOTH, REMEMBER
from tests.unit.executor.world import stage

ENDS = {"login": (BOTH, stage("user_login"))}
ASKS = {"login": (BOTH, REMEMBER)}
WHO = {"uid_field": "alice", "password": "secret"}


async def opened(whole: Whole) -> tuple[Browser, Answer, Browser]:
    """A browser, its first page, and the browser again as whoever sends from that page a second time has it."""
    browser = whole.browser()
    page = await browser.get(PAGE)
    return browser, page, whole.browser(browser.jar)


@pytest.mark.parametrize("how", ["at once", "after 3 s", "after 29 s"])
async def test_the_same_form_again_gets_the_same_reply_and_its_cookie(how: str) -> None:
    async with Whole(ENDS) as whole:
        browser, page, stutter = await opened(whole)
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
        browser, page, lost = await opened(whole)
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
        browser, page, stutter = await opened(whole)
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
        browser, page, thief = await opened(whole)
        await send(browser, page, **WHO)
        refused = await send(thief, page, **WHO | other)
        assert "One moment" in refused.text and refused.cookies() == {}
        assert not await whole.is_somebody(thief)
        assert whole.verified == 1


async def test_too_late_it_is_no_repeat() -> None:
    async with Whole(ENDS) as whole:
        browser, page, late = await opened(whole)
        await send(browser, page, **WHO)
        whole.clock.advance(31)
        await send(late, page, **WHO)
        assert browser.cookie(SESSION) != late.cookie(SESSION)


def without_session(browser: Browser) -> dict[tuple[str, str], str]:
    """Its cookies after a log-out in another tab, or a restart of the browser: the page is there, the session's cookie is not."""
    return {key: value for key, value in browser.jar.items() if key[0] != SESSION}


@pytest.mark.parametrize("second", ["without it again", "with the one made for the first"])
@pytest.mark.parametrize("flows", [ENDS, ASKS], ids=["ends", "asks"])
async def test_from_a_browser_without_a_session(flows: dict[str, tuple[PlannedStage, ...]], second: str) -> None:
    async with Whole(flows) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        browser.jar = without_session(browser)
        stutter = whole.browser(browser.jar)
        first = await send(browser, page, **WHO)
        if second.startswith("with the"):
            stutter = whole.browser(browser.jar)
        again = await send(stutter, page, **WHO)
        assert (first.status, first.text) == (again.status, again.text)
        assert browser.cookie(SESSION) == stutter.cookie(SESSION)
        assert whole.verified == 1
        assert await whole.is_somebody(browser) == await whole.is_somebody(stutter) == (flows is ENDS)


async def test_from_there_the_page_without_the_password_gets_nothing() -> None:
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        browser.jar = without_session(browser)
        thief = whole.browser(browser.jar)
        await send(browser, page, **WHO)
        for guess in ("wrong", "secret ", ""):
            refused = await send(thief, page, **WHO | {"password": guess})
            assert "One moment" in refused.text and SESSION not in refused.cookies()
        assert whole.verified == 1


@pytest.mark.parametrize("after_s", [31, 3000, 4000, 80_000])
async def test_later_each_sending_has_a_session_of_its_own(after_s: int) -> None:
    """A page is good for a day. Its session, once over, does not begin again."""
    async with Whole(ENDS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        browser.jar = without_session(browser)
        late = whole.browser(browser.jar)
        await send(browser, page, **WHO)
        whole.clock.advance(after_s)
        assert onward(await send(late, page, **WHO)) == "/"
        assert await whole.is_somebody(late)
        assert late.cookie(SESSION) != browser.cookie(SESSION) and whole.verified == 2
