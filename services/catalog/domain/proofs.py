"""Which stages of a flow can prove who the visitor is, read off definitions: before which log-ins nothing can, which flows can log in.

Policies may skip a stage, which nobody can know here, so bindings are taken as if all of them ran. A stage of a type, or with
fields, that this release lacks does nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from services.catalog.domain.objects import Catalog, Definition
from shared.contracts.definitions import StageBody
from shared.flows.evidence import Need
from shared.flows.references import references
from shared.flows.registry import registry
from shared.flows.stage import Stage

_CLOSED: Final = frozenset({"require_authenticated", "require_superuser", "require_outpost"})
"""Requirements that nobody meets who is about to log in."""


class _Step(NamedTuple):
    binding: Definition
    stage: Definition
    kind: Stage[Any]
    proves: bool
    spoils: str


class Proofs:
    """The flows of one catalog; each definition is looked at once, however many there are."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._read: dict[str, tuple[bool, str]] = {}
        self._bound: dict[str, list[Definition]] = defaultdict(list)
        bindings = (one for one in catalog.definitions.values() if one.kind == "flow_binding")
        for one in sorted(bindings, key=lambda one: (one["order"], one.pk)):
            self._bound[one["target"]].append(one)

    @cached_property
    def unproved(self) -> Mapping[str, Mapping[str, str]]:
        """The log-ins that no proof precedes, by flow and binding, each as a sentence. A proof is of no use once another stage
        names somebody else."""
        found: dict[str, dict[str, str]] = {}
        for flow in self._catalog.of("flow"):
            proved = False
            for step in self._steps(flow):
                if step.kind.needs is Need.PROOF and not proved:
                    found.setdefault(flow.pk, {})[step.binding.pk] = _sentence(flow, step)
                proved = step.proves or (proved and not step.kind.renames)
        return found

    def fault(self, flow: Definition) -> str:
        """Why nobody can log in by this flow, as a sentence; "" if somebody can: a stage that names them, a proof, a login. A stage
        that nobody gets past is one only if no policy could skip it."""
        if flow["authentication"] in _CLOSED:
            return f"Flow {flow.name} is not for those who are to log in (authentication: {flow['authentication']})."
        named = proved = False
        for step in self._steps(flow):
            if step.spoils and not self.guarded(step.binding):
                return f"Flow {flow.name}: {step.stage.name} (order {step.binding['order']}) {step.spoils}."
            named = named or step.kind.renames
            proved = (step.proves and named) or (proved and not step.kind.renames)
            if step.kind.needs is Need.PROOF and proved and not step.spoils:
                return ""
        return f"Flow {flow.name} has no stages that name somebody, have it proved and log in."

    def guarded(self, target: Definition) -> bool:
        """Whether policies decide about this flow or binding."""
        return target.pk in self._guarded

    @cached_property
    def _guarded(self) -> frozenset[str]:
        found = (one for one in self._catalog.definitions.values() if one.kind == "policy_binding")
        return frozenset(one["target"] for one in found if one["enabled"])

    def _steps(self, flow: Definition) -> Iterator[_Step]:
        for binding in self._bound.get(flow.pk, ()):
            stage = self._catalog.get("stage", binding["stage"])
            kind = registry().stages.get(stage.type) if stage else None
            if stage and kind:
                yield _Step(binding, stage, kind, *self._of(stage, kind))

    def _of(self, stage: Definition, kind: Stage[Any]) -> tuple[bool, str]:
        if stage.pk not in self._read:
            try:
                config = kind.config.model_validate(_config(stage))
                self._read[stage.pk] = kind.can_prove(config, self._referred(stage, kind)), kind.spoils(config)
            except ValidationError:
                self._read[stage.pk] = False, ""
        return self._read[stage.pk]

    def _referred(self, stage: Definition, kind: Stage[Any]) -> Mapping[str, StageBody]:
        """The stages that this one's configuration names, as `PlannedStage.references` has them."""
        marks = {name: mark for name, mark in references(kind.config).items() if mark.kind == "stage"}
        pks = [pk for name, mark in marks.items() for pk in (stage[name] if mark.many else [stage[name]]) if pk]
        found = [one for pk in pks if (one := self._catalog.get("stage", pk))]
        return {one.pk: StageBody(pk=one.pk, name=one.name, type=one.type, config=_config(one)) for one in found}


def _sentence(flow: Definition, step: _Step) -> str:
    waived = step.stage.fields.get("allow_unauthenticated")
    then = "and by its allow_unauthenticated a name is enough" if waived else "so nobody is logged in"
    return f"Flow {flow.name}: nothing before {step.stage.name} (order {step.binding['order']}) proves who the visitor is, {then}."


def _config(stage: Definition) -> dict[str, Any]:
    return {name: value for name, value in stage.fields.items() if name != "name"}
