"""What names a run is taken from one browser, session, flow or person and sent from another: no answer reaches a run that is not
the sender's own, and nobody sees what somebody else's run shows."""

from collections.abc import Callable

import pytest

from tests.integration.edge.conftest import Answer, Browser, onward
from tests.security.attacked import API, PAGE, Whole, action, at_password, followed, hidden, send, sent
from tests.unit.executor.world import LOGIN_STAGES, stage

FLOWS = {"login": LOGIN_STAGES, "other": (stage("dummy"), *LOGIN_STAGES)}


def run_in(url: str) -> str:
    return url.partition("sluice_run=")[2]


async def test_the_url_of_somebody_elses_run_shows_the_beginning_of_ones_own() -> None:
    async with Whole() as whole:
        victim, thief = whole.browser(), whole.browser()
        page = await at_password(victim)
        assert "alice" in page.text
        shown = await thief.get(action(page))
        assert 'name="uid_field"' in shown.text and "alice" not in shown.text
        assert run_in(action(page)) not in shown.text


@pytest.mark.parametrize("own", ["no session", "a session", "a run of the same flow"])
async def test_the_form_of_somebody_elses_run_is_not_delivered(own: str) -> None:
    async with Whole() as whole:
        victim, thief = whole.browser(), whole.browser()
        page = await at_password(victim)
        if own != "no session":
            await thief.get(PAGE)
        if own == "a run of the same flow":
            await at_password(thief)
        answer = await send(thief, page, password="secret")
        assert not await whole.is_somebody(thief)
        assert 'name="uid_field"' in answer.text
        assert whole.verified == 0
        assert onward(await send(victim, page, password="secret")) == "/"


Spoiled = Callable[[str, str], str]


@pytest.mark.parametrize(
    "spoil",
    [lambda mine, theirs: theirs, lambda mine, theirs: mine[:-1] + ("A" if mine[-1] != "A" else "B"), lambda mine, theirs: mine[:40] + theirs[40:],
     lambda mine, theirs: "A" * len(mine), lambda mine, theirs: ""],
    ids=["another browser's", "a flipped bit", "half of each", "made up", "empty"],
)  # fmt: skip
async def test_no_step_but_ones_own_is_answered(spoil: Spoiled) -> None:
    async with Whole() as whole:
        victim, thief = whole.browser(), whole.browser()
        theirs = hidden(await at_password(victim))["sluice_step"]
        mine = await at_password(thief)
        await send(thief, mine, password="secret", sluice_step=spoil(hidden(mine)["sluice_step"], theirs))
        assert whole.verified == 0


async def test_a_page_of_another_flow_is_not_delivered() -> None:
    async with Whole(FLOWS) as whole:
        browser = whole.browser()
        other = await browser.get("/if/flow/other/")
        login = await browser.get(PAGE)
        answer = await send(browser, login, sluice_step=hidden(other)["sluice_step"], uid_field="alice")
        assert 'name="uid_field"' in answer.text


async def test_a_step_of_the_api_is_good_on_the_page_and_the_other_way_round_in_the_same_session_only() -> None:
    async with Whole() as whole:
        victim, thief = whole.browser(), whole.browser()
        page = await at_password(victim)
        thief.jar["sluice_step", API.partition("?")[0]] = hidden(page)["sluice_step"]
        assert (await thief.post(API, {"password": "secret"})).json["component"] == "ak-stage-identification"
        assert whole.verified == 0


async def test_a_page_that_nobody_answered_begins_a_run_of_whoever_answers_it_and_nobody_elses() -> None:
    """It names no session: two people who answer one page, a copied one, have a run each, and neither sees the other's."""
    async with Whole() as whole:
        one, other = whole.browser(), whole.browser()
        page = await one.get(PAGE)
        await other.get(PAGE)
        mine = await followed(one, await send(one, page, uid_field="alice"))
        theirs = await followed(other, await send(other, page, uid_field="bob"))
        assert "alice" in mine.text and "bob" in theirs.text and "alice" not in theirs.text
        assert onward(await send(one, mine, password="secret")) == "/"
        assert await whole.is_somebody(one)
        await send(other, theirs, password="secret")
        assert not await whole.is_somebody(other)


async def test_a_page_drawn_for_somebody_is_not_delivered_by_anybody_else() -> None:
    async with Whole(FLOWS) as whole:
        whole.world.planner.designations["other"] = "stage_configuration"
        alice, nobody = whole.browser(), whole.browser()
        await send(alice, await at_password(alice), password="secret")
        page = await alice.get("/if/flow/other/")
        await nobody.get("/if/flow/other/")
        assert (await send(nobody, page)).status == 200
        assert (await send(alice, page)).status == 303


async def test_a_page_of_yesterday_is_not_delivered() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        whole.clock.advance(24 * 3600 + 1)
        assert (await send(browser, page, uid_field="alice")).status == 200
        assert 'name="uid_field"' in (await browser.get(PAGE)).text


async def test_a_session_that_ended_is_not_begun_again_by_its_old_cookie() -> None:
    async with Whole({"login": LOGIN_STAGES, "out": (stage("user_logout"),)}) as whole:
        browser = whole.browser()
        page = await at_password(browser)
        old = whole.browser(browser.jar)
        await send(browser, page, password="secret")
        await browser.get("/if/flow/out/")
        for wait in (0, 31, 600, 1200, 3600):
            whole.clock.advance(wait)
            await old.get(PAGE)
            await send(old, page, password="secret")
            assert not await whole.is_somebody(old)
            old.jar = {**old.jar, **{key: value for key, value in browser.jar.items() if key[0] == "sluice_step"}}


async def answered(browser: Browser, page: Answer, name: str) -> Answer:
    return await followed(browser, await send(browser, page, uid_field=name))


async def test_two_people_at_two_tabs_of_one_browser_meet_their_own_password_page() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        hers, his = await browser.get(PAGE + "?next=/hers"), await browser.get(PAGE + "?next=/his")
        her_password, his_password = await answered(browser, hers, "alice"), await answered(browser, his, "bob")
        assert ("alice" in her_password.text, "bob" in his_password.text) == (True, True)
        for _ in range(2):  # a reload keeps whose page it is
            assert "alice" in (await browser.get(action(her_password))).text
            assert "bob" in (await browser.get(action(his_password))).text
        assert onward(await send(browser, her_password, password="secret")) == "/hers"
        wrong = await send(browser, his_password, password="wrong")  # he is not her, though she is logged in here by now
        assert ("bob" in wrong.text, "Invalid password" in wrong.text) == (True, True)


async def test_ten_restored_tabs_each_end_at_their_own_target() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        pages = [await browser.get(f"{PAGE}?next=/app/{n}") for n in range(10)]
        password = await answered(browser, pages[0], "alice")
        assert onward(await send(browser, password, password="secret")) == "/app/0"
        for n in range(1, 10):
            assert onward(await send(browser, pages[n], uid_field="alice")) == f"/app/{n}"
        assert whole.verified == 1


async def test_of_ten_tabs_answered_at_once_those_that_were_left_alone_longest_begin_anew_with_their_target() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        pages = [await browser.get(f"{PAGE}?next=/app/{n}") for n in range(10)]
        passwords = [await answered(browser, page, "alice") for page in pages]
        again = await send(browser, passwords[0], password="secret")
        assert 'name="uid_field"' in again.text and "next=/app/0" in action(again)
        assert onward(await send(browser, passwords[9], password="secret")) == "/app/9"
        assert onward(await send(browser, again, uid_field="alice")) == "/app/0"


@pytest.mark.parametrize("fetched", [True, False], ids=["with fetch metadata", "with an origin only"])
async def test_none_of_ten_first_pages_that_were_asked_for_at_once_is_turned_away(fetched: bool) -> None:
    async with Whole() as whole:
        browser = whole.browser()
        pages = []
        for n in range(10):
            alone = whole.browser()
            pages.append(await alone.get(f"{PAGE}?next=/app/{n}"))
            browser.jar |= alone.jar  # the last one's cookies are what the browser has
        headers = {"Sec-Fetch-Site": "same-origin"} if fetched else {}
        answers = [await sent(browser, page, headers, {"uid_field": "alice"}) for page in pages]
        assert [answer.status for answer in answers] == [303] * 10
        password = await followed(browser, answers[9])
        assert onward(await send(browser, password, password="secret")) == "/app/9"
        assert await whole.is_somebody(browser)
