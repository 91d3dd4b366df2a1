"""From a blueprint to events: each entry is found by its identifiers and made, changed, left or removed.

Pure: the whole document is decided on the catalog that it is applied to, so either all of it becomes events or none
(docs/compat.md, Blueprints). A document applied again makes no event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.catalog.domain import decisions
from services.catalog.domain.blueprints import errors
from services.catalog.domain.blueprints.document import Document, Entry
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.tags import Scope, resolved
from services.catalog.domain.decisions import NewPk
from services.catalog.domain.objects import Catalog, Definition, Event, evolve
from services.catalog.domain.problems import Invalid
from services.catalog.domain.settings import settings_model
from services.catalog.domain.validation import is_uuid
from shared.contracts.catalog import ObjectKind
from shared.flows.registry import registry
from shared.flows.stage import Stage

META_APPLY: Final = "authentik_blueprints.metaapplyblueprint"
_KINDS: Final[Mapping[str, ObjectKind]] = {
    "authentik_flows.flow": "flow",
    "authentik_flows.flowstagebinding": "flow_binding",
    "authentik_policies.policybinding": "policy_binding",
    "authentik_brands.brand": "brand",
}


@dataclass(slots=True)
class _Import:
    catalog: Catalog
    document: Document
    new_pk: NewPk
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    pks: dict[str, str] = field(default_factory=dict)


def events_of(catalog: Catalog, document: Document, new_pk: NewPk) -> tuple[list[Event], list[str]]:
    """The events that applying this document makes, and what an administrator should know about it.

    `BlueprintRefused` names the entry's place if one cannot be applied; nothing of the document may be used then.
    """
    state = _Import(catalog, document, new_pk)
    for entry in document.entries:
        try:
            _apply(state, entry)
        except Invalid as refused:
            raise BlueprintRefused(errors.ENTRY, f"{entry.model}: {refused.detail}", entry.place) from None
    return state.events, state.notes


def _apply(state: _Import, entry: Entry) -> None:
    scope = Scope(state.document.context, state.ids, lambda model, wanted: _found(state.catalog, model, wanted))
    if entry.model == META_APPLY:
        _meta(entry, scope)
        return
    model = _model(entry.model)
    if model is None:
        raise BlueprintRefused(errors.MODEL, f"App or Model does not exist: {entry.model[:200]}", entry.place)
    if not all(resolved(one, scope) for one in entry.conditions):
        return
    kind, type_name = model
    identifiers = _renewed(resolved(entry.identifiers, scope), state.pks)
    attrs = _renewed(resolved(entry.attrs, scope), state.pks)
    there = _matched(state.catalog, kind, type_name, identifiers, entry)
    if entry.state == "absent":
        if there:
            _note_events(state, decisions.delete(state.catalog, there))
        return
    body = _merged(attrs, {name: value for name, value in identifiers.items() if name != "pk"})
    state.notes += [f"{entry.place}: {entry.model} has no field {name}" for name in _unknown(kind, type_name, body)]
    now = _written(state, entry, there, model, body, identifiers.get("pk"))
    if isinstance(pk := entry.identifiers.get("pk"), str):
        state.pks.setdefault(pk, now.pk)
    if entry.id is not None:
        state.ids.setdefault(entry.id, now.pk)


def _written(
    state: _Import, entry: Entry, there: Definition | None, model: tuple[ObjectKind, str], body: Mapping[str, Any], pk: object
) -> Definition:
    if there is None:
        if pk is not None and not (isinstance(pk, str) and is_uuid(pk)):
            raise BlueprintRefused(errors.ENTRY, "pk is not a UUID", entry.place)
        if pk is not None and any(one.pk == pk or one.ptr == pk for one in state.catalog.definitions.values()):
            raise BlueprintRefused(errors.ENTRY, "pk is that of another object", entry.place)
        created = decisions.create(state.catalog, *model, body, state.new_pk, pk if isinstance(pk, str) else None)
        _note_events(state, (created,))
        return created.definition
    if entry.state == "must_created":
        raise BlueprintRefused(errors.ENTRY, "State is set to must_created and object exists already", entry.place)
    changed = decisions.change(state.catalog, there, body)  # also for `created`: a body that is wrong is refused
    if changed is None or entry.state == "created":
        return there
    _note_events(state, (changed,))
    return changed.after


def _note_events(state: _Import, events: tuple[Event, ...]) -> None:
    state.catalog = evolve(state.catalog, events)
    state.events.extend(events)


def _meta(entry: Entry, scope: Scope) -> None:
    """Another blueprint that has to be applied before: we keep none, so only one that is not required can pass."""
    if resolved(entry.attrs.get("required", True), scope):
        raise BlueprintRefused(errors.ENTRY, "Required blueprint does not exist", entry.place)


def _model(label: str) -> tuple[ObjectKind, str] | None:
    label = label.lower()
    if label in _KINDS:
        return _KINDS[label], ""
    found = registry().by_model(label)
    if found is None:
        return None
    return ("stage" if isinstance(found, Stage) else "policy"), found.name


def _matched(catalog: Catalog, kind: ObjectKind, type_name: str, identifiers: Mapping[str, Any], entry: Entry) -> Definition | None:
    """The object that the identifiers name: by pk, or by all the others together."""
    others = {name: value for name, value in identifiers.items() if name != "pk"}
    if not identifiers:
        if entry.state == "absent":
            return None
        raise BlueprintRefused(errors.ENTRY, "No or invalid identifiers", entry.place)
    unknown = _unknown(kind, type_name, others)
    if unknown:
        raise BlueprintRefused(errors.ENTRY, f"Invalid identifier field: {unknown[0][:100]}", entry.place)
    by_pk = catalog.get(kind, str(identifiers.get("pk")))
    if by_pk and by_pk.type == type_name:
        return by_pk
    found = catalog.matching(kind, _own_targets(catalog, kind, others)) if others else []
    return next((one for one in found if one.type == type_name), None)


def _own_targets(catalog: Catalog, kind: ObjectKind, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A policy binding's target may be given by either id; we keep the object's own."""
    out = dict(wanted)
    if kind == "policy_binding" and isinstance(out.get("target"), str):
        target = catalog.guarded(out["target"])
        out["target"] = target.pk if target else out["target"]
    return out


def _found(catalog: Catalog, label: str, wanted: Mapping[str, Any]) -> str | None:
    model = _model(label)
    if model is None:
        raise LookupError(f"model {label[:100]}")
    kind, type_name = model
    unknown = _unknown(kind, type_name, {name: value for name, value in wanted.items() if name != "pk"})
    if unknown:
        raise LookupError(f"field {unknown[0][:100]} of {label[:100]}")
    pk = wanted.get("pk")
    found = catalog.matching(kind, _own_targets(catalog, kind, {name: value for name, value in wanted.items() if name != "pk"}))
    return next((one.pk for one in found if one.type == type_name and pk in (None, one.pk)), None)


def _unknown(kind: ObjectKind, type_name: str, names: Mapping[str, Any]) -> list[str]:
    return sorted(set(names) - set(settings_model(kind, type_name).model_fields))


def _merged(attrs: Mapping[str, Any], identifiers: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with the identifiers over them; mappings of the same key are merged, lists joined."""
    out = dict(attrs)
    for name, value in identifiers.items():
        below = out.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            out[name] = _merged(below, value)
        elif isinstance(below, list) and isinstance(value, list):
            out[name] = below + value
        else:
            out[name] = value
    return out


def _renewed(value: Any, pks: Mapping[str, str]) -> Any:
    """Pks of the system that a document was exported from, replaced by those of the objects that they became here."""
    if isinstance(value, str):
        return pks.get(value, value)
    if isinstance(value, list):
        return [_renewed(one, pks) for one in value]
    if isinstance(value, Mapping):
        return {name: _renewed(one, pks) for name, one in value.items()}
    return value
