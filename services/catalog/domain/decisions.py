"""From what is asked to the events that follow: creating, changing and deleting a definition."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.catalog.domain.objects import Catalog, Changed, Created, Definition, Deleted, Event, evolve, links
from services.catalog.domain.validation import checked
from shared.contracts.catalog import ObjectKind

NewPk = Callable[[], str]
GUARDED: Final[tuple[ObjectKind, ...]] = ("flow", "flow_binding")


def create(catalog: Catalog, kind: ObjectKind, type_name: str, body: Mapping[str, Any], new_pk: NewPk, pk: str | None = None) -> Created:
    """A new definition, under `pk` if one is given; `Invalid` if the body is not in order."""
    fields = checked(catalog, kind, type_name, body)
    return Created(Definition(kind, pk or new_pk(), fields, type_name, new_pk() if kind in GUARDED else ""))


def change(catalog: Catalog, definition: Definition, body: Mapping[str, Any]) -> Changed | None:
    """Other values for some fields; None if that changes nothing, `Invalid` if the result is not in order."""
    fields = checked(catalog, definition.kind, definition.type, {**definition.fields, **body}, definition.key)
    if fields == definition.fields:
        return None
    return Changed(definition, Definition(definition.kind, definition.pk, fields, definition.type, definition.ptr))


def delete(catalog: Catalog, definition: Definition) -> tuple[Event, ...]:
    """A definition goes, with the bindings that make no sense without it; other references to it become empty."""
    events: list[Event] = []
    left = catalog
    for key in sorted(catalog.definitions):
        other = left.get(*key)
        if other is None or key == definition.key:  # gone already: a policy binding of a binding of this flow
            continue
        fields, cascade = _without(other, definition.pk)
        if cascade:
            more = delete(left, other)
        elif fields != other.fields:
            more = (Changed(other, Definition(other.kind, other.pk, fields, other.type, other.ptr)),)
        else:
            continue
        events.extend(more)
        left = evolve(left, more)
    return (*events, Deleted(definition))


def _without(other: Definition, pk: str) -> tuple[Mapping[str, Any], bool]:
    """The fields of another definition once this pk is gone, and whether it goes too."""
    fields = dict(other.fields)
    for name, link in links(other.kind, other.type).items():
        value = fields.get(name)
        if link.many and isinstance(value, list):
            fields[name] = [one for one in value if one != pk]
        elif value == pk:
            if link.cascade:
                return other.fields, True
            fields[name] = None
    return fields, False
