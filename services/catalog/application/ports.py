"""What the catalog needs from outside: somewhere to keep definitions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.catalog.domain.objects import Catalog, Event

Decide = Callable[[Catalog], Sequence[Event]]


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A file that is applied again only when its content has changed. `hash` is the SHA-256 of the content, in hex."""

    name: str
    hash: str


class Store(Protocol):
    """Definitions, their events, and what readers have been told; everything that a change means, in one transaction."""

    async def catalog(self) -> Catalog:
        """All definitions as last committed; `Unavailable` if the store is away."""
        ...

    async def change(self, actor: str, decide: Decide, shipped: ShippedFile | None = None, *, end_runs: bool = False) -> Sequence[Event]:
        """Commit the events that `decide` makes of the current catalog, and tell readers; one change at a time.

        An exception of `decide` leaves everything as it was. With `shipped`, nothing is asked or done if that file was
        applied with this very content. `end_runs`: open runs of the flows that change end at their next step.
        `Invalid` if the result cannot be published.
        """
        ...

    async def published(self, within_s: float) -> bool:
        """Wait until what was committed so far is in the log; False if that takes longer, or the store is away meanwhile."""
        ...

    async def tell_again(self) -> int:
        """Tell readers everything once more, for a log that holds nothing of it; the number of pointers."""
        ...

    async def sweep(self) -> int:
        """Take back bodies that no run can be pinned to any more, and pointers of objects long gone; how many."""
        ...
