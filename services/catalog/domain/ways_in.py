"""Whether flows still prove who comes in, and whether there still is a way in: what an edit would make worse (architecture §4.8).

The runtime protects: a log-in without a proof is denied. This tells administrators before visitors find out. What is read off
definitions alone: policies may skip a stage, which nobody can know here, so bindings are taken as if all of them ran.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from services.catalog.domain.definitions import Catalog, Definition, links
from shared.flows.evidence import Need
from shared.flows.references import references
from shared.flows.registry import registry
from shared.flows.stage import Stage
from shared.kernel.errors import SluiceError

FORCED: Final = "It is done only if it is forced (?force=true, --force)."
_CLOSED: Final = frozenset({"require_authenticated", "require_superuser", "require_outpost"})
"""Requirements that nobody meets who is about to log in."""


class WayInLost(SluiceError):
    """An edit that nobody forced, after which a brand's log-in has no proof, or a brand's visitors no log-in that works."""

    code = "E_WAY_IN"

    def __init__(self, places: tuple[str, ...]) -> None:
        super().__init__(" ".join((*places, FORCED)))
        self.places: Final = places


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an edit would make worse: `refused` unless it is forced, `warned` in any case. Each a sentence with its places."""

    refused: tuple[str, ...]
    warned: tuple[str, ...]


def judged(before: Catalog, after: Catalog) -> Verdict:
    """What going from one catalog to the other makes worse; what was so before is not said again."""
    known, found = _unproved(before), _unproved(after)
    used_before, used = _uses(before), _uses(after)
    refused = [
        f"{text} It is the {field} of brand {brand}."
        for (brand, field), flow in used.items()
        for binding, text in found.get(flow, {}).items()
        if used_before.get((brand, field)) != flow or binding not in known.get(flow, {})
    ]
    if way_in(before) and not way_in(after):
        refused.append(f"{_main_brand(after)} has no log-in flow left that names somebody, has it proved and logs in.")
    others = {flow: texts for flow, texts in found.items() if flow not in used.values()}
    warned = [text for flow, texts in others.items() for binding, text in texts.items() if binding not in known.get(flow, {})]
    return Verdict(tuple(refused), (*warned, *_waived(before, after)))


def weaknesses(catalog: Catalog) -> tuple[str, ...]:
    """What is so already: every log-in without a proof, and every waived one."""
    return (*(text for texts in _unproved(catalog).values() for text in texts.values()), *_waived(Catalog(), catalog))


def way_in(catalog: Catalog) -> bool:
    """Whether the visitors of the default brand have a log-in that can work: a stage that names them, a proof, a login."""
    brand = _default(catalog)
    named = brand["flow_authentication"] if brand else None
    flows = [flow] if named and (flow := catalog.get("flow", named)) else catalog.matching("flow", {"designation": "authentication"})
    return any(_works(catalog, flow) for flow in flows)


def _works(catalog: Catalog, flow: Definition) -> bool:
    named = proved = False
    for _, stage, kind in _steps(catalog, flow):
        proves = _can_prove(catalog, stage, kind)
        named = named or kind.renames
        proved = (proves and named) or (proved and not kind.renames)
        if kind.needs is Need.PROOF and proved:
            return flow["authentication"] not in _CLOSED
    return False


def _unproved(catalog: Catalog) -> Mapping[str, Mapping[str, str]]:
    """The log-ins that no proof precedes, by flow and binding. A proof is of no use once another stage names somebody else."""
    found: dict[str, dict[str, str]] = {}
    for flow in catalog.of("flow"):
        proved = False
        for binding, stage, kind in _steps(catalog, flow):
            if kind.needs is Need.PROOF and not proved:
                place = f"{stage.name} (order {binding['order']})"
                text = f"Flow {flow.name}: nothing before {place} proves who the visitor is, so nobody is logged in."
                found.setdefault(flow.pk, {})[binding.pk] = text
            proved = _can_prove(catalog, stage, kind) or (proved and not kind.renames)
    return found


def _waived(before: Catalog, after: Catalog) -> Iterator[str]:
    for stage in after.of("stage"):
        was = before.get("stage", stage.pk)
        if stage.fields.get("allow_unauthenticated") and not (was and was.fields.get("allow_unauthenticated")):
            yield f"Stage {stage.name} has allow_unauthenticated: it needs no proof, a name is enough."


def _steps(catalog: Catalog, flow: Definition) -> Iterator[tuple[Definition, Definition, Stage[Any]]]:
    """The bindings of a flow in their order, with their stages and these stages' types; what this release lacks does nothing."""
    for binding in catalog.bindings("flow_binding", flow.pk):
        stage = catalog.get("stage", binding["stage"])
        kind = registry().stages.get(stage.type) if stage else None
        if stage and kind:
            yield binding, stage, kind


def _can_prove(catalog: Catalog, stage: Definition, kind: Stage[Any]) -> bool:
    referred = [
        one
        for name, mark in references(kind.config).items()
        if mark.kind == "stage"
        for pk in (stage[name] if mark.many else [stage[name]])
        if pk and (one := catalog.get("stage", pk))
    ]
    inside = {one.pk: {"pk": one.pk, "name": one.name, "type": one.type, "config": _config(one)} for one in referred}
    try:
        return kind.can_prove(kind.config.model_validate(_config(stage)), inside)
    except ValidationError:  # of a release with other fields: its flows are not published either
        return False


def _config(stage: Definition) -> dict[str, Any]:
    return {name: value for name, value in stage.fields.items() if name != "name"}


def _uses(catalog: Catalog) -> Mapping[tuple[str, str], str]:
    """The flows that brands use, by brand and field. A brand that names no log-in flow uses the first of that designation."""
    first = next((flow.pk for flow in catalog.matching("flow", {"designation": "authentication"})), None)
    used: dict[tuple[str, str], str] = {}
    for brand in catalog.of("brand"):
        for field in links("brand", ""):
            flow = brand[field] or (first if field == "flow_authentication" else None)
            if flow:
                used[brand.name, field] = flow
    return used


def _default(catalog: Catalog) -> Definition | None:
    return next(iter(catalog.matching("brand", {"default": True})), None)


def _main_brand(catalog: Catalog) -> str:
    brand = _default(catalog)
    return f"Brand {brand.name}, the default," if brand else "A host without a brand"
