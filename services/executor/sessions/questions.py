"""How the worker's questions to planner and policy are worded.

A question's id is derived from the step, so that a step that runs again asks the same question (architecture §4.4);
its answer counts for that id and that digest only.
"""

from typing import Any

from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import PlannedStage, PlanRequested, plan_digest
from shared.contracts.policy import Facts, VerdictRequested, facts_digest
from shared.contracts.states import RunState
from shared.kernel.errors import Unavailable


class PlanningFailed(Unavailable):
    """The planner could not decide whether this visitor may enter (an error is not false, and not true either)."""

    code = "E_PLANNING_FAILED"


def plan_question(
    request: str,
    session: str,
    run: str,
    flow: str,
    visitor: Visitor,
    pending_user: UserFacts | None,
    context: dict[str, Any],
    obligations: tuple[str, ...],
    deadline_us: int,
) -> PlanRequested:
    """Which stages does this flow have for this visitor, with this context, about this user?"""
    return PlanRequested(
        request=request, session=session, run=run, flow=flow, visitor=visitor, pending_user=pending_user, context=context, obligations=obligations,
        digest=plan_digest(flow, visitor, pending_user, context, obligations), deadline_us=deadline_us,
    )  # fmt: skip


def reach_question(request: str, session: str, run: RunState, stage: PlannedStage, deadline_us: int) -> VerdictRequested:
    """Should this stage run, now that it is reached? About the pending user, else the visitor (docs/compat.md, Plans)."""
    facts = Facts(visitor=run.visitor, pending_user=run.pending_user, context=run.context, planned=True)
    return VerdictRequested(
        request=request, session=session, run=run.run, purpose="reach", guard=stage.guard, facts=facts,
        digest=facts_digest(stage.guard, facts), deadline_us=deadline_us,
    )  # fmt: skip
