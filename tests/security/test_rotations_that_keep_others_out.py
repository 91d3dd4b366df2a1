"""Somebody has put a session's cookie into the victim's browser, and proves themselves in that session again and again. An old
cookie is answered with "One moment" for 30 s after it was superseded, and not for longer, however often the session rotates."""

import pytest

from services.executor.sessions.session import REMEMBERED_ROTATIONS, new_session, superseded_us
from tests.integration.edge.conftest import Browser
from tests.security.attacked import API, PAGE, SESSION, Whole, followed, send
from tests.unit.executor.world import PASSWORD, stage

IDENTIFICATION = stage("identification", {"user_fields": ("username",)})
FLOWS = {"login": (IDENTIFICATION, stage("password", PASSWORD), stage("dummy")), "other": (IDENTIFICATION, stage("dummy"))}


async def rotate(browser: Browser) -> None:
    before = browser.cookie(SESSION)
    page = await followed(browser, await send(browser, await browser.get(PAGE), uid_field="alice"))
    await send(browser, page, password="secret")
    assert browser.cookie(SESSION) != before


@pytest.mark.parametrize("every_s", [1, 10, 25, 29])
async def test_thirty_seconds_after_their_own_cookie_was_superseded_the_victim_is_free(every_s: int) -> None:
    async with Whole(FLOWS) as whole:
        planter = whole.browser()
        await send(planter, await planter.get(PAGE), uid_field="alice")
        victim = whole.browser({key: value for key, value in planter.jar.items() if key[0] == SESSION})
        await rotate(planter)
        superseded = whole.clock.now_us()
        assert "One moment" in (await victim.get("/if/flow/other/")).text
        assert (await victim.get(API)).json["error"] == "superseded"
        for _ in range(4 if every_s < 10 else 2):
            whole.clock.advance(every_s)
            await rotate(planter)
        whole.clock.advance(max(0, 31 - (whole.clock.now_us() - superseded) / 1e6))
        assert 'name="uid_field"' in (await victim.get("/if/flow/other/")).text
        assert victim.cookie(SESSION) != planter.cookie(SESSION)
        assert not await whole.is_somebody(victim)


async def test_a_cookie_that_was_superseded_just_now_has_its_time_after_many_rotations() -> None:
    async with Whole(FLOWS) as whole:
        planter = whole.browser()
        await send(planter, await planter.get(PAGE), uid_field="alice")
        await rotate(planter)
        whole.clock.advance(60)
        last = whole.browser({key: value for key, value in planter.jar.items() if key[0] == SESSION})
        await rotate(planter)
        whole.clock.advance(29)
        assert "One moment" in (await last.get("/if/flow/other/")).text


def test_of_a_cookie_older_than_what_is_remembered_the_time_is_over() -> None:
    times = tuple(range(100, 100 + REMEMBERED_ROTATIONS))
    state = new_session("03.x").model_copy(update={"rotation": 20, "rotated_us": times})
    assert superseded_us(state, 19) == times[-1]
    assert superseded_us(state, 20 - REMEMBERED_ROTATIONS) == times[0]
    assert superseded_us(state, 20 - REMEMBERED_ROTATIONS - 1) == superseded_us(state, 0) == 0
