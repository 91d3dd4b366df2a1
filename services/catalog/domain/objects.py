"""What the catalog keeps: definitions of six kinds, the events that change them, and the state that the events make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from shared.contracts.catalog import ObjectKind
from shared.flows.references import references
from shared.flows.registry import registry

Key = tuple[ObjectKind, str]


@dataclass(frozen=True, slots=True)
class Definition:
    """One object. `fields` are its settings as `settings.py`'s model of its kind dumps them, references as pks.

    `type` is the stage or policy type's name. Flows and flow bindings have a second id, `ptr`, by which authentik's
    policy bindings name them (docs/compat.md, Blueprints); a policy binding's `target` is kept as the object's own pk.
    """

    kind: ObjectKind
    pk: str
    fields: Mapping[str, Any]
    type: str = ""
    ptr: str = ""

    @property
    def key(self) -> Key:
        """Kind and pk."""
        return (self.kind, self.pk)

    @property
    def name(self) -> str:
        """What people call it: a flow's slug, a brand's domain, the name; of a binding what it binds."""
        for candidate in ("slug", "domain", "name"):
            if candidate in self.fields:
                return str(self.fields[candidate])
        return f"{self.fields['target']} #{self.fields['order']}"

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Created:
    """A definition that was not there is."""

    definition: Definition


@dataclass(frozen=True, slots=True)
class Changed:
    """A definition has other fields than before."""

    before: Definition
    after: Definition


@dataclass(frozen=True, slots=True)
class Deleted:
    """A definition is gone."""

    definition: Definition


Event = Created | Changed | Deleted


@dataclass(frozen=True, slots=True)
class Catalog:
    """All definitions at one moment."""

    definitions: Mapping[Key, Definition] = field(default_factory=dict)

    def get(self, kind: ObjectKind, pk: str) -> Definition | None:
        """The definition of this kind and pk."""
        return self.definitions.get((kind, pk))

    def of(self, kind: ObjectKind) -> list[Definition]:
        """All of a kind, ordered by name, then pk."""
        return self.matching(kind, {})

    def matching(self, kind: ObjectKind, wanted: Mapping[str, Any]) -> list[Definition]:
        """Those of a kind whose fields have all these values, ordered by name, then pk."""
        of_kind = (found for found in self.definitions.values() if found.kind == kind)
        found = [one for one in of_kind if all(one.fields.get(name) == value for name, value in wanted.items())]
        return sorted(found, key=lambda one: (one.name, one.pk))

    def bindings(self, kind: ObjectKind, target: str) -> list[Definition]:
        """The stage bindings of a flow, or the policy bindings of a target, in their order; ties by pk."""
        found = (one for one in self.definitions.values() if one.kind == kind and one["target"] == target)
        return sorted(found, key=lambda one: (one["order"], one.pk))

    def guarded(self, any_id: str) -> Definition | None:
        """The flow or flow binding that either of its two ids names."""
        own = self.get("flow", any_id) or self.get("flow_binding", any_id)
        return own or next((found for found in self.definitions.values() if found.ptr and found.ptr == any_id), None)


def evolve(catalog: Catalog, events: Iterable[Event]) -> Catalog:
    """The catalog after these events."""
    definitions = dict(catalog.definitions)
    for event in events:
        match event:
            case Created(definition):
                definitions[definition.key] = definition
            case Changed(_, after):
                definitions[after.key] = after
            case Deleted(definition):
                definitions.pop(definition.key, None)
            case _:
                assert_never(event)
    return Catalog(definitions)


@dataclass(frozen=True, slots=True)
class Link:
    """A field that refers to other definitions: of which kinds, whether to many, and what their deletion does."""

    kinds: tuple[ObjectKind, ...]
    many: bool = False
    cascade: bool = False


_LINKS: Mapping[ObjectKind, Mapping[str, Link]] = {
    "flow_binding": {"target": Link(("flow",), cascade=True), "stage": Link(("stage",), cascade=True)},
    "policy_binding": {"policy": Link(("policy",), cascade=True), "target": Link(("flow", "flow_binding"), cascade=True)},
    "brand": {
        f"flow_{name}": Link(("flow",))
        for name in ("authentication", "invalidation", "recovery", "unenrollment", "user_settings", "device_code")
    },
}


def links(kind: ObjectKind, type_name: str) -> Mapping[str, Link]:
    """The fields of a kind (and stage type) that refer to other definitions; none of a type that this release lacks."""
    if kind == "stage":
        known = registry().stages.get(type_name)
        return {name: Link((mark.kind,), mark.many) for name, mark in references(known.config).items()} if known else {}
    return _LINKS.get(kind, {})
