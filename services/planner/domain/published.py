"""What the catalog has published, as far as plans are made of it; a projection of its topic fills it."""

from typing import Protocol

from shared.contracts.definitions import BrandBody, Designation, FlowBody, StageBody


class Published(Protocol):
    """As of now. Whoever asks twice may get two answers."""

    def flow_by_slug(self, slug: str) -> FlowBody | None:
        """The flow with this slug."""
        ...

    def flow_by_pk(self, pk: str) -> FlowBody | None:
        """The flow with this pk."""
        ...

    def flow_hash(self, pk: str) -> str | None:
        """The content hash of the flow's body: what a run is pinned to."""
        ...

    def flow_version(self, pk: str) -> int:
        """The version of the flow; 0 if there is none."""
        ...

    def flows_of(self, designation: Designation) -> tuple[FlowBody, ...]:
        """The flows of a designation, ordered by slug: the order in which a default flow is looked for."""
        ...

    def brands(self) -> tuple[BrandBody, ...]:
        """All brands, ordered by domain."""
        ...

    def stage_by_pk(self, pk: str) -> StageBody | None:
        """A stage as it is now: for stages that name other stages."""
        ...

    def stage_body(self, content: str) -> StageBody | None:
        """The stage body with this content hash, current or not."""
        ...
