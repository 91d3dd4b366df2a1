"""The structure of a blueprint: version, metadata, context and entries, each with its place in the file."""

from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from services.catalog.domain.blueprints import errors
from services.catalog.domain.blueprints.errors import BlueprintRefused, Place
from services.catalog.domain.blueprints.reader import Mapping, Tagged, read
from services.catalog.domain.blueprints.tags import SUPPORTED

State = Literal["present", "created", "must_created", "absent"]
MAX_ENTRIES: Final = 2_000
_TOP: Final = {"version", "metadata", "context", "entries"}
_ENTRY: Final = {"model", "state", "conditions", "identifiers", "attrs", "permissions", "id"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One object to be made, changed or removed; values may hold tags, which are resolved when its turn comes."""

    place: Place
    model: str
    state: State
    conditions: tuple[Any, ...]
    identifiers: Lookup[str, Any]
    attrs: Lookup[str, Any]
    id: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A whole blueprint."""

    file: str
    name: str
    context: Lookup[str, Any]
    entries: tuple[Entry, ...]


def parse(raw: bytes, file: str) -> Document:
    """The blueprint in these bytes; `BlueprintRefused` if it is none. `file` is what errors call it."""
    top = read(raw, file, SUPPORTED)
    start = Place(file, 1, 1)
    if not isinstance(top, Mapping):
        raise BlueprintRefused(errors.SHAPE, "a blueprint is a mapping", start)
    _known(top, _TOP, top.place)
    if top.get("version", 1) != 1 or isinstance(top.get("version"), bool):
        raise BlueprintRefused(errors.SHAPE, "Invalid blueprint version: only version 1 is known", top.place)
    metadata = _mapping(top, "metadata")
    return Document(file, str(metadata.get("name", file)), _mapping(top, "context"), tuple(map(_entry, _entries(top))))


def _entries(top: Mapping) -> list[Mapping]:
    found = top.get("entries", [])
    if isinstance(found, Mapping):  # in sections, whose names mean nothing
        found = [one for section in found.values() for one in (section if isinstance(section, list) else [section])]
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise BlueprintRefused(errors.SHAPE, "entries is a list of mappings", top.place)
    if len(found) > MAX_ENTRIES:
        raise BlueprintRefused(errors.SIZE, f"more than {MAX_ENTRIES} entries", top.place)
    return found


def _entry(raw: Mapping) -> Entry:
    _known(raw, _ENTRY, raw.place)
    model, name, state = raw.get("model"), raw.get("id"), raw.get("state", "present")
    for key, value in (("model", model), ("state", state)):
        if isinstance(value, Tagged):
            raise BlueprintRefused(errors.TAG, f"{value.tag} is not supported in {key}", value.place)
    if not isinstance(model, str) or model.count(".") != 1:
        raise BlueprintRefused(errors.SHAPE, "model is `<app>.<model>`", raw.place)
    if state not in get_args(State):
        raise BlueprintRefused(errors.SHAPE, f"state is one of {', '.join(get_args(State))}", raw.place)
    if not isinstance(name, str | None):
        raise BlueprintRefused(errors.SHAPE, "id is a text", raw.place)
    conditions, permissions = raw.get("conditions", []), raw.get("permissions", [])
    if not isinstance(conditions, list) or not isinstance(permissions, list):
        raise BlueprintRefused(errors.SHAPE, "conditions and permissions are lists", raw.place)
    if permissions:
        raise BlueprintRefused(errors.ENTRY, "permissions on objects are not supported", raw.place)
    return Entry(
        raw.place, model.lower(), cast("State", state), tuple(conditions), _mapping(raw, "identifiers"), _mapping(raw, "attrs"), name
    )


def _known(raw: Mapping, allowed: set[str], place: Place) -> None:
    # authentik ignores them; a misspelt `attr:` would do nothing without anybody noticing.
    unknown = sorted(set(raw) - allowed)
    if unknown:
        raise BlueprintRefused(errors.SHAPE, f"unknown key {unknown[0][:100]}", place)


def _mapping(raw: Mapping, name: str) -> Mapping:
    found = raw.get(name, None) if name == "attrs" else raw.get(name, Mapping(raw.place))
    if found is None and name == "attrs":
        return Mapping(raw.place)
    if not isinstance(found, Mapping):
        raise BlueprintRefused(errors.SHAPE, f"{name} is a mapping", raw.place)
    return found
