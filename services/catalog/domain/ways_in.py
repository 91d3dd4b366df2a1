"""Whether flows still prove who comes in, and whether there still is a way in: what an edit would make worse (architecture §4.8).

The runtime protects: a log-in without a proof is denied. This tells administrators before visitors find out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from services.catalog.domain.definitions import Catalog, Definition, links
from services.catalog.domain.proofs import Proofs
from shared.kernel.errors import SluiceError

FORCED: Final = "It is done only if it is forced (?force=true, --force)."


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
    was, now = Proofs(before), Proofs(after)
    used_before, used = _uses(before), _uses(after)
    refused = [
        f"{text} It is the {field} of brand {brand}."
        for (brand, field), flow in used.items()
        for binding, text in now.unproved.get(flow, {}).items()
        if used_before.get((brand, field)) != flow or binding not in was.unproved.get(flow, {})
    ]
    if _way_in(before, was) and not _way_in(after, now):
        refused.append(f"{_main_brand(after)} has no log-in flow left that names somebody, has it proved and logs in.")
    others = {flow: texts for flow, texts in now.unproved.items() if flow not in used.values()}
    warned = [text for flow, texts in others.items() for binding, text in texts.items() if binding not in was.unproved.get(flow, {})]
    return Verdict(tuple(refused), (*warned, *_waived(before, after)))


def weaknesses(catalog: Catalog) -> tuple[str, ...]:
    """What is so already: every log-in without a proof, and every waived one."""
    return (*(text for texts in Proofs(catalog).unproved.values() for text in texts.values()), *_waived(Catalog(), catalog))


def way_in(catalog: Catalog) -> bool:
    """Whether the visitors of the default brand have a log-in that can work."""
    return _way_in(catalog, Proofs(catalog))


def _way_in(catalog: Catalog, proofs: Proofs) -> bool:
    brand = _default(catalog)
    named = catalog.get("flow", brand["flow_authentication"] or "") if brand else None
    return any(map(proofs.works, [named] if named else catalog.matching("flow", {"designation": "authentication"})))


def _waived(before: Catalog, after: Catalog) -> Iterator[str]:
    for stage in after.of("stage"):
        was = before.get("stage", stage.pk)
        if stage.fields.get("allow_unauthenticated") and not (was and was.fields.get("allow_unauthenticated")):
            yield f"Stage {stage.name} has allow_unauthenticated: it needs no proof, a name is enough."


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
