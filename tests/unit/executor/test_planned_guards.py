"""Guards that are asked while planning only: the verdict is evidence, and what it said holds (architecture §4.7-4.9)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.executor.sessions.asking import Asking
from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session
from shared.contracts import topics, wire
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope
from shared.contracts.planner import PlanMade, PlannedStage, PlanRefused, PlanRequested, plan_digest
from shared.contracts.policy import VerdictReached
from shared.contracts.sessions import StageGuarded
from shared.flows.registry import registry
from shared.kernel.clock import FixedClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Record
from tests.unit.executor.test_steps import events
from tests.unit.executor.world import ALICE, LOGIN_STAGES, PASSWORD, SECRET, FixedPlanner, World, stage

NAMED = stage("identification", {"user_fields": ("username",)})
ONCE = stage("dummy", guarded=True).model_copy(update={"re_evaluate": False, "verdict": "v-b-dummy"})
TWICE = ONCE.model_copy(update={"re_evaluate": True})
WRONG = {"password": "nope"}


@dataclass
class AskingPlanner(FixedPlanner):
    """Plans as the planner does: a stage that names a verdict is there by it; `said` are the verdicts, `pass` for others."""

    said: dict[str, str] = field(default_factory=dict)

    async def plan(self, question: PlanRequested) -> PlanMade | PlanRefused:
        made = await super().plan(question)
        if isinstance(made, PlanRefused):
            return made
        verdicts = tuple(self.verdict(question, one) for one in made.plan.stages if one.verdict)
        failed = {one.request for one in verdicts if one.outcome == "fail"}
        kept = tuple(one for one in made.plan.stages if one.verdict not in failed or one.binding in question.obligations)
        return made.model_copy(update={"plan": made.plan.model_copy(update={"stages": kept}), "verdicts": verdicts})

    def verdict(self, question: PlanRequested, planned: PlannedStage) -> VerdictReached:
        ids = {"request": planned.verdict, "session": question.session, "run": question.run, "digest": "d"}
        return VerdictReached.model_validate({**ids, "outcome": self.said.get(planned.binding, "pass")})


def asking(*stages: PlannedStage, **more: Sequence[PlannedStage]) -> tuple[World, AskingPlanner]:
    world = World()
    world.planner = planner = AskingPlanner({"f": stages, "login": LOGIN_STAGES, **more})
    return world, planner


async def guarded(world: World, session: str) -> list[tuple[str, str, str]]:
    found = [e for r in await world.history(session) for e in r.body.events if isinstance(e, StageGuarded)]
    return [(one.binding, one.subject, one.planned) for one in found]


@pytest.mark.parametrize("action", ["restart", "restart_with_context"])
@pytest.mark.parametrize("again", ["fail", "error"])
async def test_no_restart_drops_a_stage_that_was_planned_by_a_verdict(action: str, again: str) -> None:
    world, planner = asking(NAMED, stage("password", PASSWORD, action=action), ONCE)
    async with world:
        browser = world.browser()
        first = await browser.get("f")
        assert await world.history(browser.session) == []
        await browser.post({"uid_field": "alice"}, "f")
        assert events(await world.history(browser.session))[:4] == ["session.started", "run.started", "stage.guarded", "stage.challenged"]
        assert await guarded(world, first.session) == [("b-dummy", "anonymous", "v-b-dummy")]
        planner.said["b-dummy"] = again
        await browser.post(WRONG, "f")
        assert planner.asked[-1].obligations == ("b-dummy",)
        await browser.post({"uid_field": "alice"}, "f")
        reply = await browser.post({"password": "secret"}, "f")
        assert reply.view and reply.view.component == "ak-stage-dummy"
        # Reached by somebody else than it was planned for, it holds for them as well.
        assert (await guarded(world, first.session))[-1] == ("b-dummy", ALICE.uid, "v-b-dummy")


async def test_what_guarded_somebody_holds_for_the_next_flow_of_theirs_in_the_session() -> None:
    world, planner = asking(NAMED, ONCE, stage("user_login", {"allow_unauthenticated": True}))
    async with world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        assert (await browser.post({}, "f")).login
        planner.said["b-dummy"] = "fail"
        await browser.get("f")
        assert planner.asked[-1].visitor.user == ALICE
        assert planner.asked[-1].obligations == ("b-dummy",)


async def test_a_guard_that_is_asked_again_when_reached_may_still_say_no_then() -> None:
    world, _ = asking(TWICE, stage("deny"))
    async with world:
        world.policy.verdicts["b-dummy"] = "fail"
        browser = world.browser()
        reply = await browser.get("f")
        assert reply.view and reply.view.kind == "denied"
        assert await guarded(world, reply.session) == []


async def test_a_stage_that_guarded_somebody_is_planned_again_for_nobody_when_they_start_over() -> None:
    world, planner = asking(NAMED, TWICE, stage("password", PASSWORD, action="restart"))
    async with world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        await browser.post({}, "f")
        planner.said["b-dummy"] = world.policy.verdicts["b-dummy"] = "fail"
        await browser.post(WRONG, "f")
        assert planner.asked[-1].obligations == ("b-dummy",)
        reply = await browser.post({"uid_field": "alice"}, "f")
        assert reply.view and reply.view.component == "ak-stage-dummy"


async def test_a_stage_that_stays_for_somebodys_sake_does_not_guard_whom_its_guard_does_not_mean() -> None:
    """alice's guard keeps the stage when the run starts over; a "no" about nobody must not bind all later runs."""
    world, planner = asking(NAMED, stage("password", PASSWORD, action="restart_with_context"), ONCE, stage("deny", action="restart"))
    async with world:
        planner.said["b-dummy"] = "fail"
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        planner.said["b-dummy"] = "pass"
        await browser.post(WRONG, "f")
        assert await guarded(world, browser.session) == [("b-dummy", ALICE.uid, "v-b-dummy")]
        await browser.post({"uid_field": "alice"}, "f")
        await browser.post({"password": "secret"}, "f")
        planner.said["b-dummy"] = "fail"
        reply = await browser.post({}, "f")
        assert reply.view and reply.view.component == "ak-stage-identification"
        assert planner.asked[-1].obligations == ("b-dummy",)
        assert await guarded(world, browser.session) == [("b-dummy", ALICE.uid, "v-b-dummy")]
        await browser.step("cancel", "", None)
        await browser.get("f")
        assert list(planner.asked[-1].obligations) == []


@pytest.mark.parametrize("changed", [{"request": "another"}, {"outcome": "fail"}, {"run": "another"}, {"session": "another"}])
async def test_a_plan_without_the_verdicts_that_it_goes_by_is_not_taken(changed: dict[str, str]) -> None:
    world, planner = asking(ONCE)
    made = planner.plan

    async def unfounded(question: PlanRequested) -> PlanMade | PlanRefused:
        plan = await made(question)
        assert isinstance(plan, PlanMade)
        return plan.model_copy(update={"verdicts": tuple(one.model_copy(update=changed) for one in plan.verdicts)})

    async with world:
        planner.plan = unfounded  # type: ignore[method-assign]
        reply = await world.browser().get("f")
        assert (reply.outcome, reply.reason) == ("unavailable", "E_PLANNING_FAILED")
        assert await world.history(reply.session) == []


async def test_it_is_decided_again_the_same() -> None:
    world, _ = asking(NAMED, TWICE, ONCE, stage("password", PASSWORD, action="restart"))
    async with world:
        browser = world.browser()
        for body in (None, {"uid_field": "alice"}, {}, {}, WRONG):
            await (browser.get("f") if body is None else browser.post(body, "f"))
        state = new_session(browser.session)
        for received in await world.history(browser.session):
            again = await decided_again(state, received.body, registry(), SECRET)
            assert wire.pack(again.model_dump()) == wire.pack(received.body.model_dump())
            state = evolve(state, received.envelope, received.body)
        assert state.version == 4


async def test_a_plan_for_other_inputs_than_were_asked_about_settles_nothing() -> None:
    log = await EmbeddedLog.open(topics.TOPICS)
    asker, visitor = Asking(log, FixedClock()), ALICE
    session, given = "03.AAAAAAAAAAAAAAAAAAAAAA", {"flow": "f", "visitor": {"user": visitor.model_dump()}, "context": {}}
    asked = PlanRequested.model_validate({"request": "q", "session": session, "run": "r", **given, "digest": "", "deadline_us": 1})
    asked = asked.model_copy(update={"digest": plan_digest("f", asked.visitor, None, {}, ())})
    waiting = asyncio.create_task(asker.plan(asked))
    await asyncio.sleep(0)

    def refusal(digest: str) -> Record:
        answer = PlanRefused(request="q", session=session, run="r", digest=digest, reason="empty")
        headers, value = encode(Envelope("i", answer.wire_type, answer.wire_version, "planner", session, 0), answer)
        return Record(topics.PLANS, 3, 0, 0, session.encode(), value, headers)

    for other in (
        "",
        plan_digest("f", asked.visitor.model_copy(update={"user": None}), None, {}, ()),
        plan_digest("f", asked.visitor, None, {}, ("b",)),
    ):
        asker.settle(refusal(other))
        await asyncio.sleep(0)
        assert not waiting.done()
    asker.settle(refusal(asked.digest))
    got: Any = await waiting
    assert got.digest == asked.digest
    await log.close()
