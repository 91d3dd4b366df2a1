"""What planner and policy are asked about a run: how it is worded, when it need not be asked again, and what an answer is worth.

A question's id is derived from the step, so that a step that runs again asks the same question (architecture §4.4);
its answer counts for that id and that digest only.
"""

from typing import Final

from services.executor.sessions.decision import Decision
from services.executor.sessions.lifetime import SECOND
from services.executor.sessions.obligations import is_founded, kept_for
from services.executor.sessions.ports import Planner, Policy
from shared.contracts.model import Plain
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import PlanMade, PlannedStage, PlanRefused, PlanRequested, plan_digest
from shared.contracts.policy import Facts, VerdictReached, VerdictRequested, facts_digest
from shared.kernel.errors import Unavailable

WANTED_FOR: Final = 2 * SECOND
"""Nobody has to answer later."""


class UnknownFlow(Exception):
    """There is no flow of this slug."""


class PlanningFailed(Unavailable):
    """The planner could not decide whether this visitor may enter (an error is not false, and not true either)."""

    code = "E_PLANNING_FAILED"


class Questions:
    """Asks for one cursor. What a run that begins was told is kept in the decision, for the page's answer (architecture §3)."""

    def __init__(self, planner: Planner, policy: Policy) -> None:
        self._planner = planner
        self._policy = policy

    async def plan(
        self, decision: Decision, run: str, visitor: Visitor, context: Plain | None = None, pending: UserFacts | None = None,
        before: UserFacts | None = None,
    ) -> PlanMade | PlanRefused:  # fmt: skip
        """Which stages has this flow for this visitor, with this context, about this user? `UnknownFlow`; `PlanningFailed` if that
        cannot be said. `before` is whom the run was about until now, if it starts over."""
        obligations = kept_for(decision.state, visitor, pending, before)
        flow, known = decision.step.flow, context or {}
        question = PlanRequested(
            request=decision.question("plan"), session=decision.state.session, run=run, flow=flow, visitor=visitor, pending_user=pending,
            context=known, obligations=obligations, digest=plan_digest(flow, visitor, pending, known, obligations),
            deadline_us=decision.at_us + WANTED_FOR,
        )  # fmt: skip
        told = decision.replies.get(question.digest) if decision.beginning else None
        made = told if isinstance(told, PlanMade | PlanRefused) else await self._planner.plan(question)
        if decision.beginning:
            decision.replies[question.digest] = made
        if isinstance(made, PlanRefused) and made.reason == "unknown_flow":
            raise UnknownFlow(flow)
        if isinstance(made, PlanRefused) and made.reason == "error":
            raise PlanningFailed("the planner could not decide")
        if isinstance(made, PlanMade) and not is_founded(made, obligations):
            raise PlanningFailed("a plan without the verdicts that it goes by")
        return made

    async def reach(self, decision: Decision, stage: PlannedStage) -> VerdictReached:
        """Should this stage run, now that it is reached? About the pending user, else the visitor (docs/compat.md, Plans)."""
        run = decision.current
        facts = Facts(visitor=run.visitor, pending_user=run.pending_user, context=run.context, planned=True)
        question = VerdictRequested(
            request=decision.question("verdict"), session=decision.state.session, run=run.run, purpose="reach", guard=stage.guard, facts=facts,
            digest=facts_digest(stage.guard, facts), deadline_us=decision.at_us + WANTED_FOR,
        )  # fmt: skip
        told = decision.replies.get(question.digest) if decision.beginning else None
        reached = told if isinstance(told, VerdictReached) else await self._policy.decide(question)
        if decision.beginning:
            decision.replies[question.digest] = reached
        return reached
