"""Questions to policy, on behalf of one request to the planner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.planner.application.ports import Policy
from shared.contracts.definitions import Guard
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.policy import Facts, Purpose, VerdictReached, VerdictRequested, facts_digest
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_id

TIMEOUT_US: Final = 1_500_000
ID_DOMAIN: Final = b"planner"
"""Not a secret: ids of requests cannot be foretold already, here they only must come out the same a second time."""


@dataclass(frozen=True, slots=True)
class PolicyQuestions:
    """Asks policy for one request. The question's id is derived, so the same request again asks the same question."""

    policy: Policy
    clock: Clock
    request: str
    session: str
    run: str
    deadline_us: int

    async def ask(
        self, purpose: Purpose, guard: Guard, visitor: Visitor, pending: UserFacts | None, context: Mapping[str, Any], *, planned: bool
    ) -> VerdictReached:
        """The verdict; `Unavailable` if there is none within 1.5 s (architecture §4.14) or the request's own deadline."""
        facts = Facts(visitor=visitor, pending_user=pending, context=dict(context), planned=planned)
        return await self.policy.verdict(
            VerdictRequested(
                request=derived_id(ID_DOMAIN, self.request, purpose, guard.target),
                session=self.session,
                run=self.run,
                purpose=purpose,
                guard=guard,
                facts=facts,
                digest=facts_digest(guard, facts),
                deadline_us=min(self.clock.now_us() + TIMEOUT_US, self.deadline_us),
            )
        )
