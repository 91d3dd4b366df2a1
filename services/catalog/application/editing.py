"""What administrators do to definitions one at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.catalog.application.ports import Store
from services.catalog.domain import decisions
from services.catalog.domain.decisions import NewPk
from services.catalog.domain.definitions import Catalog, Created, Definition, Event
from shared.contracts.catalog import ObjectKind

_READ_ONLY: Final[Mapping[ObjectKind, frozenset[str]]] = {"flow": frozenset({"background"})}
"""Fields that blueprints may set and the API of 2024.8 ignores."""


class Editing:
    """Creating and deleting over the store. `new_pk` makes UUIDs."""

    def __init__(self, store: Store, new_pk: NewPk) -> None:
        self._store = store
        self._new_pk = new_pk

    async def catalog(self) -> Catalog:
        """All definitions as last committed."""
        return await self._store.catalog()

    async def create(self, actor: str, kind: ObjectKind, type_name: str, body: Mapping[str, Any]) -> Definition:
        """A new definition; `Invalid` if the body is not in order."""
        allowed = {name: value for name, value in body.items() if name not in _READ_ONLY.get(kind, ())}
        events = await self._store.change(actor, lambda catalog: (decisions.create(catalog, kind, type_name, allowed, self._new_pk),))
        created = events[0]
        if not isinstance(created, Created):
            raise TypeError("a creation makes one event")
        return created.definition

    async def delete(self, actor: str, definition: Definition) -> bool:
        """Delete a definition with what hangs on it; False if somebody was quicker."""

        def decide(catalog: Catalog) -> Sequence[Event]:
            found = catalog.get(*definition.key)
            return decisions.delete(catalog, found) if found else ()

        return bool(await self._store.change(actor, decide))
