"""HEAD of pages, as monitors and link checkers ask: as a GET of nobody's, without a body, without a step of anybody's."""

import pytest

from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, OUT
from tests.integration.edge.test_pages import log_in

PAGES = [f"/if/flow/{AUTH}/", "/if/user/", f"/if/flow/{AUTH}/?next=%2Fapp"]


@pytest.mark.parametrize("path", PAGES)
async def test_head_has_the_status_and_headers_of_a_get_and_no_body(rig: Rig, browser: Browser, path: str) -> None:
    got = await browser.get(path)
    browser.jar.clear()
    headed = await browser.send("HEAD", path)
    assert (headed.status, headed.text, headed.headers["Content-Type"]) == (200, "", got.headers["Content-Type"])
    assert headed.headers["Content-Security-Policy"] == got.headers["Content-Security-Policy"]


async def test_head_leaves_no_cookie_and_moves_nobodys_session(rig: Rig, browser: Browser) -> None:
    await browser.get(PAGES[0])
    session = rig.worker.steps[-1].session
    headed = await browser.send("HEAD", PAGES[0])
    assert headed.headers.getall("Set-Cookie", []) == []
    assert [step.session for step in rig.worker.steps].count(session) == 1


async def test_head_of_the_log_out_logs_nobody_out(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    for path in (f"/if/flow/{OUT}/", "/flows/-/default/invalidation/", "/flows/-/cancel/", "/"):
        assert (await browser.send("HEAD", path)).status in (200, 302)
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
    assert "cancel" not in {step.kind for step in rig.worker.steps}


async def test_head_of_what_is_not_there_says_so(rig: Rig, browser: Browser) -> None:
    for path in ("/if/flow/no-such-flow/", "/nowhere/"):
        assert (await browser.send("HEAD", path)).status == 404
