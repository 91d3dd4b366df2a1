"""Whether flows still prove who comes in, and whether there still is a way in: what an edit would make worse (architecture §4.8).

The runtime protects: a log-in without a proof is denied. This tells administrators before visitors find out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.catalog.domain.objects import Catalog
from services.catalog.domain.proofs import Proofs
from services.catalog.domain.sizes import too_large
from services.catalog.domain.visitors import Visitors
from shared.flows.brands import FALLBACK
from shared.kernel.errors import SluiceError

FORCED: Final = "It is done only if it is forced (?force=true, --force)."


class WayInLost(SluiceError):
    """An edit that nobody forced, after which a brand's log-in has no proof, or visitors no log-in that works."""

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
    visited, visiting = Visitors(before, was), Visitors(after, now)
    refused = [
        f"{text} It is the {use.field} of {_whose(use.brand)}."
        for use in sorted(visiting.uses)
        for binding, text in now.unproved.get(use.flow, {}).items()
        if use not in visited.uses or binding not in was.unproved.get(use.flow, {})
    ]
    hosts = dict.fromkeys((*visited.hosts, *visiting.hosts))
    lost = [
        text for host in hosts if _lost(_faults(visited, was, host), _faults(visiting, now, host)) for text in _said(visiting, now, host)
    ]
    refused += dict.fromkeys(lost)
    used = {use.flow for use in visiting.uses}
    others = {flow: texts for flow, texts in now.unproved.items() if flow not in used}
    warned = [text for flow, texts in others.items() for binding, text in texts.items() if binding not in was.unproved.get(flow, {})]
    full = too_large(before)
    warned += [text for flow, text in too_large(after).items() if flow not in full]
    return Verdict(tuple(refused), (*warned, *_waived(before, after)))


def weaknesses(catalog: Catalog) -> tuple[str, ...]:
    """What is so already: every log-in without a proof, every waived one, and every flow that fills a session."""
    unproved = (text for texts in Proofs(catalog).unproved.values() for text in texts.values())
    return (*unproved, *_waived(Catalog(), catalog), *too_large(catalog).values())


def way_in(catalog: Catalog) -> bool:
    """Whether the visitors of every host have a log-in that can work."""
    proofs = Proofs(catalog)
    visitors = Visitors(catalog, proofs)
    return all(faults and not any(faults) for faults in (_faults(visitors, proofs, host) for host in visitors.hosts))


def _faults(visitors: Visitors, proofs: Proofs, host: str) -> tuple[str, ...]:
    """What is wrong with each of the log-ins that this host's visitors may get, "" for nothing."""
    return tuple(map(proofs.fault, visitors.log_ins(host)))


def _lost(was: tuple[str, ...], now: tuple[str, ...]) -> bool:
    """Whether all log-ins worked and now one does not, or one did and now none does."""
    return (bool(was) and not any(was) and (not now or any(now))) or (not all(was) and all(now))


def _said(visitors: Visitors, proofs: Proofs, host: str) -> Iterator[str]:
    brand = visitors.brand(host)
    whose = _whose(brand.domain if brand.pk else "") + (", the default," if brand.default else "")
    faults = [fault for fault in _faults(visitors, proofs, host) if fault] or ["There is no flow for it."]
    for fault in faults:
        yield f"{whose[0].upper()}{whose[1:]} has no log-in left that works. {fault}"


def _whose(brand: str) -> str:
    return f"brand {brand}" if brand and brand != FALLBACK.domain else "a host without a brand"


def _waived(before: Catalog, after: Catalog) -> Iterator[str]:
    for stage in after.of("stage"):
        was = before.get("stage", stage.pk)
        if stage.fields.get("allow_unauthenticated") and not (was and was.fields.get("allow_unauthenticated")):
            yield f"Stage {stage.name} has allow_unauthenticated: it needs no proof, a name is enough."
