"""A browser with many tabs of one flow: whatever the order in which they are answered or reloaded after the log-in in one of
them, each goes to its own target, although a session holds but eight open runs and a few that are over."""

import itertools

import pytest

from services.executor.sessions.session import OPEN_RUNS, REMEMBERED_ENDS
from tests.integration.edge.conftest import Answer, Browser, onward
from tests.security.attacked import PAGE, Whole, action, followed, send

MANY = (REMEMBERED_ENDS + 1, OPEN_RUNS - 1, OPEN_RUNS, OPEN_RUNS + 1, OPEN_RUNS + REMEMBERED_ENDS + 2, 3 * OPEN_RUNS)


async def opened(browser: Browser, count: int) -> list[Answer]:
    return [await browser.get(f"{PAGE}?next=/t{number}") for number in range(count)]


async def named(browser: Browser, tabs: list[Answer]) -> list[Answer]:
    """The name typed in each, in order."""
    return [await followed(browser, await send(browser, tab, uid_field="alice")) for tab in tabs]


def in_order(count: int, order: str) -> list[int]:
    rest = list(range(count - 1))
    return {"newest first": rest[::-1], "oldest first": rest, "from the middle": sorted(rest, key=lambda one: abs(one - count // 2))}[order]


ORDERS = pytest.mark.parametrize("order", ["newest first", "oldest first", "from the middle"])
WAYS = pytest.mark.parametrize("way", ["answered", "reloaded", "first page sent again"])


@WAYS
@ORDERS
@pytest.mark.parametrize("count", MANY)
async def test_each_goes_to_its_own_target_once_one_has_logged_in(count: int, order: str, way: str) -> None:
    async with Whole() as whole:
        browser = whole.browser()
        first = await opened(browser, count)
        tabs = await named(browser, first)
        assert onward(await send(browser, tabs[-1], password="secret")) == f"/t{count - 1}"
        for number in in_order(count, order):
            match way:
                case "answered":
                    came = await send(browser, tabs[number], password="secret")
                case "reloaded":
                    came = await browser.get(action(tabs[number]))
                case _:
                    came = await send(browser, first[number], uid_field="bob")
            assert (came.status, onward(came)) == (200, f"/t{number}"), (number, came.text)
        assert whole.verified == 1
        assert await whole.is_somebody(browser)


async def test_and_again_when_all_of_them_are_over() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        first = await opened(browser, 12)
        tabs = await named(browser, first)
        await send(browser, tabs[-1], password="secret")
        for number in [*range(12), *range(11, -1, -1)]:
            came = await send(browser, tabs[number], password="secret")
            assert (came.status, onward(came)) == (200, f"/t{number}"), (number, came.text)
        assert whole.verified == 1


async def test_without_a_log_in_a_tab_that_was_given_up_begins_anew() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        tabs = await named(browser, await opened(browser, 2 * OPEN_RUNS))
        for tab, reloads in itertools.product(tabs[:OPEN_RUNS], (True, False)):
            came = await browser.get(action(tab)) if reloads else await send(browser, tab, password="secret")
            assert came.status == 200 and 'name="uid_field"' in came.text
        assert not await whole.is_somebody(browser)


async def test_a_link_with_a_run_that_never_was_logs_nobody_past_a_flow() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        tabs = await named(browser, await opened(browser, 1))
        await send(browser, tabs[0], password="secret")
        came = await browser.get(f"{PAGE}?next=/elsewhere&sluice_run=AAAAAAAAAAAAAAAAAAAAAA")
        assert 'name="uid_field"' in came.text
