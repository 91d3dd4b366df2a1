"""Where a plan is made: from (flow, visitor, context) to the ordered stages, or to a refusal (docs/compat.md, Plans).

Plans are made anew for every run and never shared: a cached plan froze one visitor's verdicts for all anonymous
visitors, in authentik.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.planner.application.asking_policy import PolicyQuestions
from services.planner.application.ports import Catalog, Policy
from services.planner.domain import requirements, selection
from services.planner.domain.composition import Composer, Missing, UnknownStageType
from shared.contracts.definitions import BrandBody, FlowBody, StageBinding
from shared.contracts.planner import MAX_STAGES, Plan, PlanMade, PlanRefused, PlanRequested, Refusal
from shared.contracts.policy import VerdictReached
from shared.flows.brands import brand_for, facts_of
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable

NOT_APPLICABLE: Final = "Flow does not apply to current user."
BEHIND_S: Final = 1.0
"""How long a plan waits for definitions that it lacks (architecture §4.11)."""
_TRANSIENT: Final = frozenset({"unavailable", "unknown_policy"})

_log = logging.getLogger(__name__)


class _Refused(Exception):
    def __init__(self, reason: Refusal, messages: tuple[str, ...] = (), verdicts: tuple[VerdictReached, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.messages = messages
        self.verdicts = verdicts


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans."""

    catalog: Catalog
    composer: Composer
    clock: Clock

    async def plan(self, asked: PlanRequested, policy: Policy) -> PlanMade | PlanRefused:
        """The plan of this flow for this visitor, or why there is none."""
        definitions = self.catalog.definitions
        brand = brand_for(asked.visitor.host, definitions.brands())
        flow = definitions.flow_by_slug(asked.flow)
        if flow is None:
            return _refusal(asked, _Refused("unknown_flow"), None, brand)
        try:
            plan, verdicts = await self._planned(asked, policy, flow, brand)
        except _Refused as refused:
            return _refusal(asked, refused, flow, brand)
        return PlanMade(request=asked.request, session=asked.session, run=asked.run, digest=asked.digest, plan=plan, verdicts=verdicts)

    async def _planned(
        self, asked: PlanRequested, policy: Policy, flow: FlowBody, brand: BrandBody
    ) -> tuple[Plan, tuple[VerdictReached, ...]]:
        definition = self.catalog.definitions.flow_hash(flow.facts.pk) or ""
        if not requirements.is_met(flow.facts.authentication, asked.visitor, asked.context):
            raise _Refused("not_applicable", (NOT_APPLICABLE,))
        questions = PolicyQuestions(policy, self.clock, asked.request, asked.session, asked.run, asked.deadline_us)
        verdicts = await self._applies(asked, questions, flow)
        bindings, said = await self._selected(asked, questions, flow, verdicts)
        verdicts += tuple(said.values())
        if not bindings:
            raise _Refused("empty", verdicts=verdicts)
        if len(bindings) > MAX_STAGES:
            raise _Refused("too_long", verdicts=verdicts)
        evidence = {binding: verdict.request for binding, verdict in said.items()}
        return await self._composed(flow, definition, brand, bindings, evidence, verdicts), verdicts

    async def _applies(self, asked: PlanRequested, questions: PolicyQuestions, flow: FlowBody) -> tuple[VerdictReached, ...]:
        """The verdict of the flow's own policies, none if it has none; raises if it is not a pass."""
        if not flow.guard.bindings:
            return ()
        try:
            verdict = await questions.ask("flow", flow.guard, asked.visitor, asked.pending_user, asked.context, planned=False)
        except Unavailable:
            raise _Refused("error") from None
        if verdict.outcome == "pass":
            return (verdict,)
        if verdict.outcome == "error" and any(result.reason in _TRANSIENT for result in verdict.results):
            raise _Refused("error", verdict.messages, (verdict,))
        raise _Refused("not_applicable", verdict.messages or (NOT_APPLICABLE,), (verdict,))

    async def _selected(
        self, asked: PlanRequested, questions: PolicyQuestions, flow: FlowBody, before: tuple[VerdictReached, ...]
    ) -> tuple[tuple[StageBinding, ...], dict[str, VerdictReached]]:
        """The bindings that are planned, and the verdicts that say so, by binding. Their messages are dropped here."""
        guarded = selection.asked_now(flow)
        asking = (
            questions.ask("plan", binding.guard, asked.visitor, asked.pending_user, asked.context, planned=True) for binding in guarded
        )
        answers = await asyncio.gather(*asking, return_exceptions=True)
        said: dict[str, VerdictReached] = {}
        for binding, answer in zip(guarded, answers, strict=True):
            if isinstance(answer, Unavailable):
                raise _Refused("error", verdicts=before)
            if isinstance(answer, BaseException):
                raise answer
            said[binding.pk] = answer
        outcomes = {binding: verdict.outcome for binding, verdict in said.items()}
        return selection.kept(flow, outcomes, asked.obligations), said

    async def _composed(
        self,
        flow: FlowBody,
        definition: str,
        brand: BrandBody,
        bindings: tuple[StageBinding, ...],
        evidence: Mapping[str, str],
        verdicts: tuple[VerdictReached, ...],
    ) -> Plan:
        latest = self.clock.monotonic() + BEHIND_S
        while True:
            try:
                return self.composer.plan(flow, definition, brand, bindings, evidence)
            except Missing as missing:
                left = latest - self.clock.monotonic()
                if left <= 0 or not await self.catalog.changed(left):
                    _log.error("flow %s cannot be planned: %s is missing", flow.facts.slug, missing)
                    raise _Refused("error", verdicts=verdicts) from None
            except UnknownStageType as unknown:
                _log.exception("flow %s cannot be planned: no stage type %s", flow.facts.slug, unknown)
                raise _Refused("error", verdicts=verdicts) from None


def _refusal(asked: PlanRequested, refused: _Refused, flow: FlowBody | None, brand: BrandBody) -> PlanRefused:
    return PlanRefused(
        request=asked.request, session=asked.session, run=asked.run, digest=asked.digest, reason=refused.reason, messages=refused.messages,
        flow=None if flow is None else flow.facts, brand=facts_of(brand), verdicts=refused.verdicts,
    )  # fmt: skip
