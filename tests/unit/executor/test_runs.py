"""Runs that meet something on their way: a login that changes or ends, a plan that is refused, a stage that breaks."""

from typing import Any

import pytest

from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session
from shared.contracts import wire
from shared.contracts.planner import PlanRefused
from shared.flows.registry import registry
from shared.flows.stage import Denied, StageFailed
from shared.flows.stage_types.password import PasswordStage
from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.world import LOGIN_STAGES, SECRET, World, flow, stage


async def test_a_run_goes_on_with_the_login_that_it_made_itself() -> None:
    flows = {"login": LOGIN_STAGES, "again": (*LOGIN_STAGES, stage("dummy"))}
    async with World(flows) as world:
        browser = world.browser()
        await log_in(browser)
        await log_in(browser, "again")
        reply = await browser.post({}, "again")
        assert reply.view and reply.view.kind == "redirect"


async def test_a_run_of_a_login_that_is_over_starts_anew_and_its_answer_is_not_delivered() -> None:
    flows = {"login": LOGIN_STAGES, "mine": (stage("password", {"backends": ()}), stage("dummy"))}
    async with World(flows) as world:
        browser = world.browser()
        await log_in(browser)
        await browser.get("mine")
        browser.login = None
        reply = await browser.post({"password": "secret"}, "mine")
        assert reply.view and reply.view.kind == "challenge"
        assert not reply.view.errors
        assert not reply.advanced


async def test_a_restart_that_is_refused_is_recorded_with_its_refusal_and_decided_again_the_same() -> None:
    async with World({"f": (stage("password", {"backends": ()}, action="restart"),)}) as world:
        browser = world.browser()
        await browser.get("f")
        world.planner.refusals["f"] = PlanRefused(
            request="r", session=browser.session, run="r", digest="", reason="not_applicable", messages=("not you",), flow=flow("f")
        )
        reply = await browser.post({"password": "x"}, "f")
        assert reply.view and (reply.view.kind, reply.view.message) == ("denied", "not you")
        assert not reply.open
        state = new_session(browser.session)
        for received in await world.history(browser.session):
            again = await decided_again(state, received.body, registry(), SECRET)
            assert wire.pack(again.model_dump()) == wire.pack(received.body.model_dump())
            state = evolve(state, received.envelope, received.body)


@pytest.mark.parametrize(("trouble", "kind"), [(StageFailed("broken"), "error"), (Denied("no more"), "denied")])
async def test_a_stage_that_asks_no_more_after_a_wrong_answer_still_counts_it(
    trouble: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World() as world:
        browser = await at_the_password(world)

        async def asks_no_more(*_: Any) -> Denied:
            if isinstance(trouble, Exception):
                raise trouble
            return Denied("no more")

        monkeypatch.setattr(PasswordStage, "challenge", asks_no_more)
        reply = await browser.post({"password": "nope"})
        assert reply.view and reply.view.kind == kind
        assert world.workers[0]._owners[3].states.get(browser.session).counters == {"password_failures": 1}


async def test_a_command_is_remembered_for_30_s_however_many_follow() -> None:
    async with World() as world:
        browser = world.browser()
        first = browser.compose("answer", "login", {"uid_field": "alice"})
        browser.take(first, await world.ask(first))
        for _ in range(6):
            await browser.step("cancel", "login", None)
            await browser.get()
            await browser.post({"uid_field": "alice"})
        count = len(await world.history(browser.session))
        assert (await world.ask(first)).outcome == "accepted"
        assert len(await world.history(browser.session)) == count == 13
        world.clock.advance(31)
        await browser.step("cancel", "login", None)
        assert len(world.workers[0]._owners[3].states.get(browser.session).answered) == 1


async def test_a_log_out_shows_its_own_end_although_another_run_was_open() -> None:
    flows = {"login": LOGIN_STAGES, "other": (stage("dummy"),), "out": (stage("user_logout"),)}
    async with World(flows) as world:
        browser = world.browser()
        await log_in(browser)
        await browser.get("other")
        reply = await browser.get("out")
        assert reply.logged_out
        assert not reply.open
        assert reply.view and (reply.view.kind, reply.view.to) == ("redirect", "/")


async def test_a_refused_login_that_led_nowhere_is_shown_as_denied() -> None:
    async with World() as world:
        world.directory.refuse = "user_disabled"
        browser = await at_the_password(world)
        reply = await browser.post({"password": "secret"}, query="next=https%3A%2F%2Felsewhere.example")
        assert reply.login is None
        assert reply.view and reply.view.kind == "denied"
