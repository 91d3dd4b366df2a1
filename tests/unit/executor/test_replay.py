"""A history decided again from its own records comes out the same, to the byte; a changed record is noticed."""

from typing import Any

import pytest

from services.executor.sessions.effects import ReplayDiffers
from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session
from shared.contracts import wire
from shared.flows.registry import registry
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.world import LOGIN_STAGES, SECRET, World, stage


async def a_history() -> list[Any]:
    flows = {"login": LOGIN_STAGES, "f": (stage("dummy", guarded=True), stage("password", {"backends": ()}, action="restart"))}
    async with World(flows) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({}, "f")
        await browser.post({}, "f")
        await browser.get()
        await browser.post({})
        await browser.post({"uid_field": "alice"})
        await browser.post({"password": "nope"})
        await browser.step("cancel", "login", None)
        await log_in(browser)
        return await world.history(browser.session)


async def test_every_step_comes_out_the_same() -> None:
    state, count = new_session((history := await a_history())[0].body.session), 0
    for received in history:
        again = await decided_again(state, received.body, registry(), SECRET)
        assert wire.pack(again.model_dump()) == wire.pack(received.body.model_dump())
        state = evolve(state, received.envelope, received.body)
        count += 1
    assert count == 7


async def test_a_changed_record_is_noticed() -> None:
    history = await a_history()
    state = new_session(history[0].body.session)
    for received in history:
        if received.body.asks:
            forged = received.body.asks[0].model_copy(update={"ask": {"value": "mallory"}})
            with pytest.raises(ReplayDiffers):
                await decided_again(state, received.body.model_copy(update={"asks": (forged,)}), registry(), SECRET)
            return
        state = evolve(state, received.envelope, received.body)
    pytest.fail("the history has no ask")
