"""How a run ends: it arrives where its visitor wants to go, or is refused because their flow has no plan."""

from typing import Final, assert_never

from services.executor.rules.destinations import Failed, Redirect, destination, inner_destination, outer_destination
from services.executor.rules.destinations import Refused as BadDestination
from services.executor.sessions import views
from services.executor.sessions.decision import Decision
from services.executor.sessions.questions import PlanningFailed
from shared.contracts import sessions as s
from shared.contracts.definitions import FlowFacts
from shared.contracts.planner import PlanRefused
from shared.contracts.states import RunState
from shared.flows.shown import person_of

AUTHENTICATION: Final = "authentication"


def refuse(decision: Decision, run: str, refusal: PlanRefused, person: str, *, arrives: bool = False) -> None:
    """What a visitor sees whose flow has no plan, at its start or when it starts over (docs/compat.md, A flow without a plan)."""
    flow = refusal.flow
    if flow is None:
        raise PlanningFailed("a refusal without its flow")
    decision.record(s.RunRefused(run=run, flow=decision.step.flow, api=decision.step.api, refusal=refusal))
    if refusal.reason == "empty" or (arrives and flow.designation == AUTHENTICATION):
        return _arrive(decision, run, flow)
    if refusal.reason == "too_long":
        view = views.error_view(flow, "the flow has more than 64 stages")
        return decision.record(s.RunDenied(run=run, reason=refusal.reason, view=view))
    onward = outer_destination(decision.step.outer_next)
    if flow.denied_action == "continue":
        onward = onward or inner_destination(decision.step.query) or "/"
    if onward and flow.denied_action != "message":
        return decision.record(s.RunFinished(run=run, view=views.redirect_view(flow, onward)))
    view = views.denied_view(flow, person, "\n".join(refusal.messages))
    return decision.record(s.RunDenied(run=run, reason=refusal.reason, view=view))


def finish(decision: Decision) -> None:
    """The run is at its end: nothing is left to ask, or whom it was to log in is somebody already."""
    run = decision.current
    assert run.plan is not None  # noqa: S101 - an open run has one
    _arrive(decision, run.run, run.plan.flow)


def _arrive(decision: Decision, run: str, flow: FlowFacts) -> None:
    """The flow is done: go where the inner `next` says, after a log-out too."""
    to = destination(decision.step.query)
    match to:
        case Redirect():
            decision.record(s.RunFinished(run=run, view=views.redirect_view(flow, to.to, refused=to.refused)))
        case BadDestination():
            view = views.denied_view(flow, person_shown(decision.current), to.message)
            decision.record(s.RunDenied(run=run, reason="bad_next", view=view))
        case Failed():
            decision.record(s.RunDenied(run=run, reason="bad_next", view=views.error_view(flow, "next leads nowhere")))
        case _:
            assert_never(to)


def person_shown(run: RunState) -> str:
    """Whom a page of this run names."""
    return person_of(run.context, run.pending_user, run.visitor.user)
