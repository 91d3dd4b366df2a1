"""How much of a session the plan of a flow takes: one that fills a session by itself, nobody can answer."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.catalog.domain.objects import Catalog, links
from services.catalog.domain.publication import Publication, publication
from shared.contracts import wire
from shared.contracts.definitions import FlowBody, StageBinding, StageBody
from shared.contracts.states import SESSION_BYTES

ELSE: Final = 8 * 1024
"""What a session needs beside its plan: what is shown, what was typed, what was answered."""


def too_large(catalog: Catalog) -> dict[str, str]:
    """By pk, the flows whose stages and policies leave a session no room, with a sentence on each."""
    try:
        published = publication(catalog)
    except (ValueError, OverflowError, TypeError):
        return {}  # it cannot be published at all, and is refused for that
    flows = [body for body in published.bodies.values() if isinstance(body, FlowBody)]
    sizes = ((flow, sum(_planned(catalog, published, one) for one in flow.bindings)) for flow in flows)
    return {flow.facts.pk: _said(flow, size) for flow, size in sizes if size > SESSION_BYTES - ELSE}


def _said(flow: FlowBody, size: int) -> str:
    return (
        f"Flow {flow.facts.slug} is too large: its {len(flow.bindings)} stages with their policies take {size // 1024} KiB of the "
        f"{SESSION_BYTES // 1024} that a session has, so that its visitors get no further. Bind fewer, or fewer policies."
    )


def _planned(catalog: Catalog, published: Publication, binding: StageBinding) -> int:
    """Bytes of one stage in a plan: its place with its guard, its body, and those of the stages that it refers to."""
    stage = published.bodies[binding.stage]
    if not isinstance(stage, StageBody):
        raise TypeError(f"{binding.stage} is no stage")
    referred = _referred(catalog, stage.pk, {stage.pk})
    return sum(len(wire.pack(dict(part))) for part in (binding.model_dump(), stage.model_dump(), *referred))


def _referred(catalog: Catalog, pk: str, seen: set[str]) -> Iterator[Mapping[str, Any]]:
    stage = catalog.definitions["stage", pk]
    for name, link in links("stage", stage.type).items():
        for other in stage[name] if link.many else [stage[name]]:
            if other and "stage" in link.kinds and other not in seen:
                seen.add(other)
                yield catalog.definitions["stage", other].fields
                yield from _referred(catalog, other, seen)
