"""How a run goes on: start it, reach its next stage, take an answer, end it (architecture §5).

The cursor moves through stages that ask nothing until one has to ask the visitor or the flow ends; all of that is one
transition.
"""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from services.executor.sessions import views
from services.executor.sessions.decision import Decision
from services.executor.sessions.ends import AUTHENTICATION, finish, person_shown, refuse
from services.executor.sessions.obligations import held_for, oblige_planned, oblige_reached
from services.executor.sessions.outcomes import came_of, came_to_more, count, passed
from services.executor.sessions.ports import Planner, Policy, Retirements
from services.executor.sessions.questions import PlanningFailed, Questions
from services.executor.sessions.session import obligation
from shared.contracts import sessions as s
from shared.contracts.people import Visitor
from shared.contracts.planner import PlanMade, PlanRefused
from shared.contracts.states import RunState
from shared.contracts.steps import Problems, View
from shared.flows.effects import Answer
from shared.flows.fields import Cleaned, Field
from shared.flows.registry import Registry
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, Stage, StageConfig, StageFailed, configured

Reading = Callable[[Mapping[str, Field]], Cleaned | Problems]


class Cursor:
    """Moves runs. Holds no run: one serves all sessions."""

    def __init__(self, registry: Registry, planner: Planner, policy: Policy, retirements: Retirements) -> None:
        self._types = registry.stages
        self._retirements = retirements
        self._questions = Questions(planner, policy)

    def is_retired(self, run: RunState) -> bool:
        """Whether the definitions that the run is pinned to were taken back (architecture §4.11)."""
        return run.plan is not None and self._retirements.is_retired(run.plan.flow.pk, run.plan.version)

    async def start(self, decision: Decision, visitor: Visitor, run: str, asked_us: int, *, arrives: bool = False) -> None:
        """Plan a flow for this visitor and go to its first challenge; `UnknownFlow` if there is none.

        `arrives`: the page was drawn for nobody, and its visitor is somebody by now. What would log them in is at its end.
        """
        decision.run, decision.beginning = run, True
        made = await self._questions.plan(decision, run, visitor)
        if isinstance(made, PlanMade) and self._retirements.is_retired(made.plan.flow.pk, made.plan.version):
            decision.replies.clear()  # taken back since it was asked for
            made = await self._questions.plan(decision, run, visitor)
        if isinstance(made, PlanRefused):
            refuse(decision, run, made, visitor.user.username if visitor.user else "", arrives=arrives)
        else:
            step = decision.step
            login = step.login.login if visitor.user and step.login else None
            decision.record(
                s.RunStarted(
                    run=run, plan=made.plan, visitor=visitor, login=login, query=step.query, api=step.api, asked_us=asked_us,
                    verdicts=made.verdicts,
                )
            )  # fmt: skip
            oblige_planned(decision, made)
            if arrives and made.plan.flow.designation == AUTHENTICATION:
                finish(decision)
            else:
                await self.reach(decision)
        decision.beginning = False

    async def reach(self, decision: Decision, errors: Problems | None = None) -> None:
        """Go on to the next challenge, or to the end."""
        while not decision.current.over:
            if not decision.current.stages:
                return finish(decision)
            if not await self._wanted(decision):
                continue
            match await self._ask(decision, errors or {}):
                case None:
                    return None
                case Passed() as came:
                    passed(decision, came)
                case Denied() as came:
                    return await self._deny(decision, came)
        return None

    async def answer(self, decision: Decision, read: Reading) -> None:
        """Give an answer to the current stage and go on as far as it leads. `read` checks it against the stage's fields."""
        type_, config, run = self._stage(decision)
        decision.answer = cleaned = read(type_.fields)
        decision.taken = True
        try:
            if isinstance(cleaned, Cleaned):
                given = Answer(cleaned.clear, frozenset(cleaned.secret))
                came = await came_of(decision, type_, type_.answer(run, config, given, decision.do))
                if isinstance(came, Passed):
                    decision.accepted = tuple(sorted(given.taken))
            else:
                came = type_.missing(run, config, cleaned)
                decision.taken = came_to_more(came, run)
        except StageFailed as failure:
            return self._challenged(decision, views.error_view(run.plan.flow, str(failure)))
        match came:
            case Passed():
                passed(decision, came)
                await self.reach(decision)
            case Refused():
                await self._retry(decision, came)
            case Denied():
                await self._deny(decision, came)
            case _:
                assert_never(came)
        return None

    # --- stages ---

    def _stage(self, decision: Decision) -> tuple[Stage[Any], StageConfig, Run]:
        run = decision.seen_by_stage()
        type_ = self._types.get(run.stage.type)
        if type_ is None:
            raise PlanningFailed(f"no stage type {run.stage.type} here")
        return type_, configured(type_.config, run.stage.config), run

    async def _wanted(self, decision: Decision) -> bool:
        """Ask the guard of the stage that was reached; False if it was skipped. An error keeps the stage (rule 9)."""
        run, stage = decision.current, decision.current.stages[0]
        if not (stage.re_evaluate and stage.guard.bindings):
            oblige_reached(decision, stage)
            return True
        subject = held_for(run)
        verdict = await self._questions.reach(decision, stage)
        bound = obligation(stage.binding, subject) in decision.state.obligations
        if verdict.outcome == "fail" and not bound:
            decision.record(s.StageSkipped(run=run.run, binding=stage.binding, verdict=verdict))
            return False
        decision.record(s.StageGuarded(run=run.run, binding=stage.binding, subject=subject, verdict=verdict))
        return True

    async def _ask(self, decision: Decision, errors: Problems, told: str = "") -> Passed | Denied | None:
        """Have the current stage ask its visitor; what came of it if it asks nothing."""
        type_, config, run = self._stage(decision)
        try:
            came = await came_of(decision, type_, type_.challenge(run, config, decision.do))
        except StageFailed as failure:
            return self._challenged(decision, views.error_view(run.plan.flow, str(failure)))
        if not isinstance(came, Challenge):
            return came
        return self._challenged(decision, views.challenge_view(run, came, errors, told))

    @staticmethod
    def _challenged(decision: Decision, view: View) -> None:
        run = decision.current
        decision.record(s.StageChallenged(run=run.run, binding=run.stages[0].binding, view=view))

    async def _retry(self, decision: Decision, refused: Refused) -> None:
        run, stage = decision.current, decision.current.stages[0]
        count(decision, refused.counters)
        problems = {name: tuple(found) for name, found in refused.problems.items()}
        decision.record(
            s.AnswerRefused(
                run=run.run, binding=stage.binding, errors=problems, context=dict(refused.context), pending_user=refused.pending_user
            )
        )
        if stage.invalid_response_action != "retry":
            return await self._restart(decision)
        match await self._ask(decision, problems, refused.told):
            case None:
                return None
            case Denied() as came:
                return await self._deny(decision, came)
            case Passed():
                raise PlanningFailed(f"{stage.type} asked, and asks no more")

    async def _deny(self, decision: Decision, denied: Denied) -> None:
        run = decision.current
        count(decision, denied.counters)
        again = run.stages and run.stages[0].invalid_response_action != "retry"
        # One restart a step: a deny stage that restarts would go round for ever, as it does in authentik.
        if again and not denied.final and not decision.restarted:
            return await self._restart(decision)
        assert run.plan is not None  # noqa: S101 - an open run has one
        view = views.denied_view(run.plan.flow, person_shown(run), denied.message, denied.told)
        decision.record(s.RunDenied(run=run.run, reason=denied.reason, view=view))
        return None

    async def _restart(self, decision: Decision) -> None:
        """Plan again, within the run, with or without its context; what guarded this subject stays (rule 9)."""
        run = decision.current
        decision.restarted = True
        kept = run.stages[0].invalid_response_action == "restart_with_context"
        context, pending = (run.context, run.pending_user) if kept else ({}, None)
        made = await self._questions.plan(decision, run.run, run.visitor, context, pending, run.pending_user)
        if isinstance(made, PlanRefused):
            return refuse(decision, run.run, made, person_shown(run))
        decision.record(s.RunReplanned(run=run.run, plan=made.plan, context=context, pending_user=pending, verdicts=made.verdicts))
        oblige_planned(decision, made)
        return await self.reach(decision)
