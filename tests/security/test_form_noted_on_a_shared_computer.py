"""Somebody opens the log-in page on a shared computer, types the victim's name, and notes every value that is there: cookies,
hidden fields, the page's address. The victim types the password into that page. The noted values are worth nothing.
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.integration.edge.conftest import Answer, Browser, onward
from tests.security.attacked import API, PAGE, SESSION, Whole, at_password, hidden, send

Try = Callable[[Browser, Answer], Awaitable[object]]
"""What the attacker does elsewhere, with the noted cookies and the noted page."""


async def polls_the_page(thief: Browser, page: Answer) -> None:
    for _ in range(3):
        await thief.get(PAGE)


async def polls_the_api(thief: Browser, page: Answer) -> None:
    for _ in range(3):
        await thief.get(API)


async def polls_with_every_noted_value_as_the_command(thief: Browser, page: Answer) -> None:
    noted = [*hidden(page).values(), *thief.jar.values(), hidden(page)["sluice_step"][-30:-8]]
    for value in noted:
        for target, path in ((PAGE, PAGE), (API, API.partition("?")[0])):
            thief.jar["sluice_command", path] = value
            await thief.get(target)


async def polls_the_apis_path_with_the_pages_step(thief: Browser, page: Answer) -> None:
    thief.jar["sluice_step", API.partition("?")[0]] = hidden(page)["sluice_step"]
    await thief.get(API)
    await thief.post(API, {})


async def sends_a_wrong_password(thief: Browser, page: Answer) -> None:
    await send(thief, page, password="wrong")


async def sends_an_empty_form(thief: Browser, page: Answer) -> None:
    await send(thief, page)


async def sends_a_wrong_password_as_json(thief: Browser, page: Answer) -> None:
    thief.jar["sluice_step", API.partition("?")[0]] = hidden(page)["sluice_step"]
    await thief.post(API, {"password": "wrong"})


async def sends_it_without_the_step(thief: Browser, page: Answer) -> None:
    thief.jar = {key: value for key, value in thief.jar.items() if key[0] != "sluice_step"}
    await thief.post(API, {"password": "wrong"})
    await thief.post(API, {"uid_field": "alice"})


async def sends_the_name_again(thief: Browser, page: Answer) -> None:
    await send(thief, page, uid_field="alice")


async def sends_many_at_once(thief: Browser, page: Answer) -> None:
    for guess in ("a", "b", "c", "secre", "secret "):
        await send(thief, page, password=guess)


async def cancels_and_comes_back(thief: Browser, page: Answer) -> None:
    await thief.get("/flows/-/cancel/")
    await thief.get(PAGE)


TRIES = (
    polls_the_page, polls_the_api, polls_with_every_noted_value_as_the_command, polls_the_apis_path_with_the_pages_step,
    sends_a_wrong_password, sends_an_empty_form, sends_a_wrong_password_as_json, sends_it_without_the_step, sends_the_name_again,
    sends_many_at_once, cancels_and_comes_back,
)  # fmt: skip


@pytest.mark.parametrize("after_s", [0, 20, 31], ids=["at once", "within 30 s", "later"])
@pytest.mark.parametrize("attempt", TRIES, ids=lambda one: one.__name__)
async def test_what_was_noted_before_the_log_in_is_worth_nothing_after_it(attempt: Try, after_s: int) -> None:
    async with Whole() as whole:
        victim = whole.browser()
        page = await at_password(victim)
        thief = whole.browser(victim.jar)
        done = await send(victim, page, password="secret")
        assert onward(done) == "/" and await whole.is_somebody(victim)
        whole.clock.advance(after_s)

        asked, mine = whole.verified, victim.cookie(SESSION)
        await attempt(thief, page)
        assert not await whole.is_somebody(thief)
        assert whole.verified == asked
        assert await whole.is_somebody(victim) and victim.cookie(SESSION) == mine


@pytest.mark.parametrize("attempt", TRIES, ids=lambda one: one.__name__)
async def test_what_was_noted_before_a_wrong_password_is_no_log_in_either(attempt: Try) -> None:
    async with Whole() as whole:
        victim = whole.browser()
        page = await at_password(victim)
        thief = whole.browser(victim.jar)
        await send(victim, page, password="mistyped")
        await attempt(thief, page)
        assert not await whole.is_somebody(thief)


async def test_no_page_and_no_cookie_holds_what_names_the_request_that_is_to_come() -> None:
    async with Whole() as whole:
        victim = whole.browser()
        page = await at_password(victim)
        assert set(hidden(page)) == {"sluice_csrf", "sluice_step"}
        assert {name for name, _ in victim.jar} == {"authentik_session", "authentik_csrf", "sluice_step"}
