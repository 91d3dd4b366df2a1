"""Where a flow is found for a visitor who asks for none by name, or asks whether there is one of this name."""

from dataclasses import dataclass

from services.planner.application.asking_policy import PolicyQuestions
from services.planner.application.ports import Catalog, Policy
from shared.contracts.definitions import BrandBody, Designation, FlowBody
from shared.contracts.people import Visitor
from shared.contracts.planner import FlowLocated, FlowRequested
from shared.contracts.policy import VerdictReached
from shared.flows.brands import brand_for, facts_of
from shared.flows.defaults import choices
from shared.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds flows."""

    catalog: Catalog
    clock: Clock

    async def locate(self, asked: FlowRequested, policy: Policy) -> FlowLocated:
        """The flow of this slug, or the default one of this designation (docs/compat.md, Brands and default flows).

        Raises:
            Unavailable: policy is away; "there is none" would be a wrong answer then.
        """
        definitions = self.catalog.definitions
        brand = brand_for(asked.visitor.host, definitions.brands())
        verdicts: list[VerdictReached] = []
        flow: FlowBody | None = None
        if asked.flow:
            flow = definitions.flow_by_slug(asked.flow)
        elif asked.designation is not None:
            questions = PolicyQuestions(policy, self.clock, asked.request, asked.session, "", asked.deadline_us)
            flow = await self._default(questions, brand, asked.visitor, asked.designation, verdicts)
        slug = None if flow is None else flow.facts.slug
        return FlowLocated(
            request=asked.request, session=asked.session, digest=asked.digest, slug=slug, brand=facts_of(brand), verdicts=tuple(verdicts)
        )

    async def _default(
        self, questions: PolicyQuestions, brand: BrandBody, visitor: Visitor, designation: Designation, verdicts: list[VerdictReached]
    ) -> FlowBody | None:
        """The first flow that applies; one whose own policies end in an error does not."""
        known = self.catalog.definitions
        for flow, asked in choices(brand, designation, known.flow_by_pk, known.flows_of, lambda one: bool(one.guard.bindings)):
            if not asked:
                return flow
            verdict = await questions.ask("flow", flow.guard, visitor, None, {}, planned=False)
            verdicts.append(verdict)
            if verdict.outcome == "pass":
                return flow
        return None
