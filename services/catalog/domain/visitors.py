"""Which flows the visitors of every host get, by the planner's own rule, before a catalog is published."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

from services.catalog.domain.objects import Catalog, Definition, links
from services.catalog.domain.proofs import Proofs
from shared.contracts.definitions import BrandBody, Designation
from shared.flows.brands import FALLBACK, brand_for
from shared.flows.defaults import choices


class Use(NamedTuple):
    """A flow's pk where visitors get it: in which field of which brand; `FALLBACK`'s for hosts of no brand."""

    brand: str
    field: str
    flow: str


class Visitors:
    """The visitors of one catalog. `proofs` are of the same."""

    def __init__(self, catalog: Catalog, proofs: Proofs) -> None:
        self._catalog = catalog
        self._proofs = proofs
        self._chosen: dict[tuple[str, Designation], Sequence[Definition]] = {}

    @cached_property
    def brands(self) -> tuple[BrandBody, ...]:
        """The brands, as far as it is about flows."""
        fields = ("domain", "default", *links("brand", ""))
        return tuple(BrandBody.model_validate({"pk": one.pk} | {name: one[name] for name in fields}) for one in self._catalog.of("brand"))

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """A host of each kind: one of every brand, and one of none ("")."""
        return ("", *(brand.domain for brand in self.brands))

    def brand(self, host: str) -> BrandBody:
        """The brand of this host."""
        return brand_for(host, self.brands)

    def log_ins(self, host: str) -> Sequence[Definition]:
        """The flows by which visitors of this host may have to log in: one, or several if policies decide which."""
        return self._flows(self.brand(host), "authentication")

    @cached_property
    def uses(self) -> frozenset[Use]:
        """The flows that visitors get, but for those whom somebody links for them."""
        brands = self.brands if any(brand.default for brand in self.brands) else (*self.brands, FALLBACK)
        defaults: tuple[Designation, ...] = ("authentication", "invalidation")
        chosen = {Use(brand.domain, f"flow_{of}", flow.pk) for brand in brands for of in defaults for flow in self._flows(brand, of)}
        named = {Use(one.name, name, one[name]) for one in self._catalog.of("brand") for name in links("brand", "") if one[name]}
        return frozenset(chosen | named)

    def _flows(self, brand: BrandBody, designation: Designation) -> Sequence[Definition]:
        key = (brand.pk, designation)
        if key not in self._chosen:
            by_pk = partial(self._catalog.get, "flow")
            found = choices(brand, designation, by_pk, self._of, self._proofs.guarded)
            self._chosen[key] = [flow for flow, _ in found]
        return self._chosen[key]

    def _of(self, designation: Designation) -> Sequence[Definition]:
        return self._catalog.matching("flow", {"designation": designation})
