"""What administrators do to definitions one at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.catalog.application.judging import Judge
from services.catalog.application.ports import Store
from services.catalog.domain import decisions
from services.catalog.domain.decisions import NewPk
from services.catalog.domain.objects import Catalog, Created, Definition, Event
from shared.contracts.catalog import ObjectKind

_READ_ONLY: Final[Mapping[ObjectKind, frozenset[str]]] = {"flow": frozenset({"background"})}
"""Fields that blueprints may set and the API of 2024.8 ignores."""
PUBLISHED_S: Final = 1.0
"""How long an answer waits for the log: who makes a flow and then asks for it should find it. A change that is committed
and not yet published is no failure, so the answer then comes without."""


class Editing:
    """Creating and deleting over the store. `new_pk` makes UUIDs."""

    def __init__(self, store: Store, new_pk: NewPk, published_s: float = PUBLISHED_S) -> None:
        self._store = store
        self._new_pk = new_pk
        self._published_s = published_s

    async def catalog(self) -> Catalog:
        """All definitions as last committed."""
        return await self._store.catalog()

    async def create(
        self, actor: str, kind: ObjectKind, type_name: str, body: Mapping[str, Any], *, end_runs: bool = False, judge: Judge | None = None
    ) -> Definition:
        """A new definition; `Invalid` if the body is not in order, `WayInLost` if `judge` says so. `end_runs`: see `Store.change`."""
        allowed = {name: value for name, value in body.items() if name not in _READ_ONLY.get(kind, ())}

        def decide(catalog: Catalog) -> Sequence[Event]:
            return (decisions.create(catalog, kind, type_name, allowed, self._new_pk),)

        events = await self._store.change(actor, (judge or Judge()).over(decide), end_runs=end_runs)
        created = events[0]
        if not isinstance(created, Created):
            raise TypeError("a creation makes one event")
        await self._store.published(self._published_s)
        return created.definition

    async def delete(self, actor: str, definition: Definition, *, end_runs: bool = False, judge: Judge | None = None) -> bool:
        """Delete a definition with what hangs on it; False if somebody was quicker, `WayInLost` if `judge` says so.
        `end_runs`: see `Store.change`."""

        def decide(catalog: Catalog) -> Sequence[Event]:
            found = catalog.get(*definition.key)
            return decisions.delete(catalog, found) if found else ()

        gone = bool(await self._store.change(actor, (judge or Judge()).over(decide), end_runs=end_runs))
        if gone:
            await self._store.published(self._published_s)
        return gone
