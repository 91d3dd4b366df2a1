"""The plan itself: the kept stages with their configuration, pinned, and all that they refer to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.planner.domain.published import Published
from shared.contracts.definitions import BrandBody, FlowBody, StageBinding, StageBody
from shared.contracts.planner import Plan, PlannedStage
from shared.flows.brands import facts_of
from shared.flows.references import Reference, references
from shared.flows.stage import Stage


class Missing(Exception):
    """Something that the plan needs is not here (yet): the definitions that are read may be behind."""


class UnknownStageType(Exception):
    """A stage of a type that this release does not have."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes plans from definitions and the stage types of this release."""

    definitions: Published
    types: Mapping[str, Stage[Any]]

    def plan(
        self, flow: FlowBody, definition: str, brand: BrandBody, bindings: Sequence[StageBinding], evidence: Mapping[str, str]
    ) -> Plan:
        """The plan of these bindings. `evidence` are the requests of the verdicts on them, by binding.

        Raises:
            Missing: a stage's body or a stage that another refers to is not here: leaving it out could leave a check out.
            UnknownStageType: see there.
        """
        found = _Found()
        stages = tuple(self._planned(binding, evidence.get(binding.pk, ""), found) for binding in bindings)
        recovery = brand.flow_recovery or self._first_recovery()
        if recovery:
            found.flows.add(recovery)
        facts = facts_of(brand).model_copy(update={"flow_recovery": recovery})
        version = self.definitions.flow_version(flow.facts.pk)
        return Plan(flow=flow.facts, definition=definition, version=version, brand=facts, stages=stages, links=self._links(found))

    def _first_recovery(self) -> str | None:
        """Where a brand names no recovery flow, password stages link the first that there is (docs/compat.md, Brands and default flows)."""
        flows = self.definitions.flows_of("recovery")
        return flows[0].facts.pk if flows else None

    def _planned(self, binding: StageBinding, verdict: str, found: "_Found") -> PlannedStage:
        body = self.definitions.stage_body(binding.stage)
        if body is None:
            raise Missing(f"stage body {binding.stage}")
        referred: dict[str, StageBody] = {}
        self._collect(body, referred, found)
        return PlannedStage(
            binding=binding.pk, stage=body.pk, name=body.name, type=body.type, config=body.config,
            re_evaluate=binding.re_evaluate_policies, invalid_response_action=binding.invalid_response_action,
            guard=binding.guard, references=referred, verdict=verdict,
        )  # fmt: skip

    def _collect(self, body: StageBody, referred: dict[str, StageBody], found: "_Found") -> None:
        for mark, pk in self._referred(body):
            if mark.kind == "flow":
                found.flows.add(pk)
            elif pk not in referred:
                other = self.definitions.stage_by_pk(pk)
                if other is None:
                    raise Missing(f"stage {pk}, to which stage {body.pk} refers")
                referred[pk] = other
                self._collect(other, referred, found)

    def _referred(self, body: StageBody) -> Iterator[tuple[Reference, str]]:
        kind = self.types.get(body.type)
        if kind is None:
            raise UnknownStageType(body.type)
        for name, mark in references(kind.config).items():
            value = body.config.get(name)
            for pk in value if mark.many and value else (value,):
                if pk:
                    yield mark, str(pk)

    def _links(self, found: "_Found") -> dict[str, str]:
        """Slugs by pk. A link to a flow that is gone is no link: nothing is guarded by it."""
        flows = ((pk, self.definitions.flow_by_pk(pk)) for pk in sorted(found.flows))
        return {pk: flow.facts.slug for pk, flow in flows if flow is not None}


@dataclass(slots=True)
class _Found:
    flows: set[str] = field(default_factory=set)
