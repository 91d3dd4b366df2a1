"""What has to run for whom: which guards said so in this session, and what a plan brings along to prove it (architecture §4.8-4.9)."""

from collections.abc import Collection

from services.executor.sessions.decision import Decision
from services.executor.sessions.session import obligation, obliged
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import PlanMade, PlannedStage
from shared.contracts.sessions import StageGuarded
from shared.contracts.states import RunState, SessionState


def held_for(run: RunState) -> str:
    """For whom a guard holds: whom the run is about, also by a name that nobody has; else the visitor."""
    return _held_for(run.pending_user, run.visitor)


def kept_for(state: SessionState, visitor: Visitor, *pending: UserFacts | None) -> tuple[str, ...]:
    """The bindings that may not be planned away: what guarded the visitor as they came, and these users.

    A run that starts over forgets whom it was about; what guarded them stays, and is asked again when it is reached.
    """
    subjects = dict.fromkeys(_held_for(one, visitor) for one in (*pending, None))
    return tuple(dict.fromkeys(binding for subject in subjects for binding in obliged(state.obligations, subject)))


def is_founded(made: PlanMade, obligations: Collection[str]) -> bool:
    """Whether each stage that policy was asked about while planning is there by a verdict that came with the plan: one
    that is no "no", or an obligation in spite of it."""
    outcomes = {v.request: v.outcome for v in made.verdicts if (v.session, v.run) == (made.session, made.run)}
    asked = [stage for stage in made.plan.stages if stage.verdict]
    return all(stage.verdict in outcomes and (outcomes[stage.verdict] != "fail" or stage.binding in obligations) for stage in asked)


def oblige_planned(decision: Decision, made: PlanMade) -> None:
    """What a guard that is asked while planning only said then is its last word, and holds for whom it was planned. Not its
    "no": that the stage stays in spite of it is for somebody else's sake, and would bind all who come after them."""
    run, refused = decision.current, {v.request for v in made.verdicts if v.outcome == "fail"}
    for stage in run.stages:
        if not stage.re_evaluate and stage.verdict not in refused:
            _oblige(decision, stage, held_for(run))


def oblige_reached(decision: Decision, stage: PlannedStage) -> None:
    """A stage that was planned for the visitor as they came holds for whom the run is about when it is reached, too."""
    run = decision.current
    if obligation(stage.binding, _held_for(None, run.visitor)) in decision.state.obligations:
        _oblige(decision, stage, held_for(run))


def _oblige(decision: Decision, stage: PlannedStage, subject: str) -> None:
    if stage.verdict and obligation(stage.binding, subject) not in decision.state.obligations:
        run = decision.current.run
        decision.record(StageGuarded(run=run, binding=stage.binding, subject=subject, planned=stage.verdict))


def _held_for(pending: UserFacts | None, visitor: Visitor) -> str:
    if pending is not None:
        return pending.uid or pending.username
    return visitor.user.uid if visitor.user else "anonymous"
