"""Decide a recorded step again from what its transition recorded, and say whether it comes out the same (architecture §4.7).

Nothing is asked of the world: plans, verdicts, asks and time are in the record, new ids come from the installation's key.
"""

from collections.abc import Iterator, Mapping

from services.executor.sessions.closing import close
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.deciding import RETIRED, handle
from services.executor.sessions.decision import Decided, Decision
from services.executor.sessions.effects import RecordedEffects, ReplayDiffers
from shared.contracts import sessions as s
from shared.contracts.planner import FlowLocated, FlowRequested, PlanMade, PlanRefused, PlanRequested
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.contracts.states import SessionState
from shared.contracts.steps import Problems, StepRequested
from shared.flows.fields import Cleaned, Field
from shared.flows.registry import Registry


async def decided_again(state: SessionState, recorded: s.SessionAdvanced, registry: Registry, secret_key: bytes) -> s.SessionAdvanced:
    """The transition that the recorded step comes to today, on the session as it was before it.

    Only steps of visitors are decided: starts, answers, cancels. `ReplayDiffers` if something else is asked today.
    """
    answers = _Answers(state, recorded)
    do = RecordedEffects(recorded.asks, secret_key, state.session, state.version + 1, recorded.command, recorded.at_us)
    decision = Decision(state, _step(state, recorded), do, recorded.at_us, recorded.given.mark)
    handled = await handle(decision, Cursor(registry, answers, answers, answers), lambda fields: _read(recorded.given, fields))
    if not isinstance(handled, Decided):
        raise ReplayDiffers(type(handled).__name__)
    close(decision)
    return decision.transition()


class _Answers:
    """Planner, policy and the catalog's retirements, as they answered then."""

    def __init__(self, state: SessionState, recorded: s.SessionAdvanced) -> None:
        self._ended = {e.run: e.reason for e in recorded.events if isinstance(e, s.RunCancelled)}
        retired = [run.plan for run in state.runs if run.plan and self._ended.get(run.run) == RETIRED]
        self._retired = {(plan.flow.pk, plan.version) for plan in retired}
        self._plans = iter([e for e in recorded.events if isinstance(e, s.RunStarted | s.RunReplanned | s.RunRefused)])
        self._verdicts: Iterator[VerdictReached] = iter(
            [e.verdict for e in recorded.events if isinstance(e, s.StageSkipped | s.StageGuarded) and e.verdict]
        )

    def is_retired(self, flow: str, version: int) -> bool:
        return (flow, version) in self._retired

    async def plan(self, question: PlanRequested) -> PlanMade | PlanRefused:
        match next(self._plans, None):
            case s.RunRefused() as refused:
                if refused.refusal.digest not in ("", question.digest):
                    raise ReplayDiffers("another plan is wanted than was")
                return refused.refusal
            case s.RunStarted() | s.RunReplanned() as planned:
                ids = {"request": question.request, "session": question.session, "run": question.run, "digest": question.digest}
                return PlanMade(**ids, plan=planned.plan, verdicts=planned.verdicts)
            case None:
                raise ReplayDiffers("a plan is wanted that was not")

    async def locate(self, question: FlowRequested) -> FlowLocated:
        raise ReplayDiffers("a location is wanted that was not")

    async def decide(self, question: VerdictRequested) -> VerdictReached:
        verdict = next(self._verdicts, None)
        if verdict is None or verdict.digest != question.digest:
            raise ReplayDiffers("another verdict is wanted than was")
        return verdict


def _step(state: SessionState, recorded: s.SessionAdvanced) -> StepRequested:
    given = recorded.given.model_dump(exclude={"clear", "secret", "accepted", "problems", "epoch", "mark"})
    sealed = {"epoch": recorded.given.epoch, "box": b""} if recorded.given.mark else None
    own = {"command": recorded.command, "kind": recorded.kind, "session": state.session, "rotation": state.rotation}
    return StepRequested.model_validate(
        {**given, **own, "sealed": sealed, "made_us": recorded.at_us, "received_us": recorded.at_us, "deadline_us": recorded.at_us,
         "reply_partition": 0, "edge": "replay"}
    )  # fmt: skip


def _read(given: s.Given, fields: Mapping[str, Field]) -> Cleaned | Problems:
    if given.problems:
        return {name: tuple(found) for name, found in given.problems.items()}
    return Cleaned(given.clear, dict.fromkeys(given.secret, ""))
