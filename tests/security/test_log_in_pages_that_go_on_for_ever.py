"""A log-in that logs in nobody sends its page to where log-ins begin: by itself that would go round and round in every open tab."""

from html import escape

import pytest

from tests.integration.edge.conftest import Browser, Rig, browser, clients, edge_settings, http, limits, onward, rig
from tests.integration.edge.scripted_worker import ASKS_NOTHING_MORE, AUTH, DUMMY, EMPTY
from tests.integration.edge.test_pages import PAGE, log_in, send

__all__ = ["browser", "clients", "edge_settings", "http", "limits", "rig"]
ENTRY = "/flows/-/default/authentication/"


@pytest.mark.parametrize("to", ["/", ENTRY, f"{ENTRY}?next=/", "/?x=1", "/app/", f"/if/flow/{EMPTY}/", f"/if/flow/{AUTH}/"])
async def test_a_flow_that_is_over_at_once_says_so_and_stays(rig: Rig, browser: Browser, to: str) -> None:
    shown = await browser.send("GET", f"/if/flow/{EMPTY}/?next={to.replace('?', '%3F').replace('&', '%26')}")
    assert shown.status == 200
    assert "Refresh" not in shown.headers
    assert "data-goes-on" not in shown.text
    assert "Nobody was logged in" in shown.text
    assert f'<a class="button" href="{escape(to)}">Continue</a>' in shown.text


async def test_a_flow_whose_answer_logs_in_nobody_does_not_begin_anew_by_itself(rig: Rig, browser: Browser) -> None:
    target = f"/if/flow/{ASKS_NOTHING_MORE}/"
    done = await send(browser, target, await browser.get(target))
    assert (done.status, "Refresh" in done.headers) == (200, False)
    assert "Nobody was logged in" in done.text
    elsewhere = f"{target}?next=/app/"
    assert onward(await send(browser, elsewhere, await browser.get(elsewhere))) == "/app/"


async def test_json_is_as_recorded(rig: Rig, browser: Browser) -> None:
    assert (await browser.get(f"/api/v3/flows/executor/{EMPTY}/?query=")).json["to"] == "/"


async def test_whoever_was_logged_in_or_answered_another_flow_goes_on(rig: Rig, browser: Browser) -> None:
    other = f"/if/flow/{DUMMY}/"
    assert onward(await send(browser, other, await browser.get(other))) == "/"
    assert onward(await log_in(browser, PAGE)) == "/"
    assert onward(await browser.get(f"/if/flow/{EMPTY}/")) == "/"
