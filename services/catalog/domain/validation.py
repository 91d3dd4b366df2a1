"""Whether a body makes a definition: its fields, then what it refers to and what must be unique, then the whole."""

import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from services.catalog.domain.objects import Catalog, Definition, Key, Link, links
from services.catalog.domain.problems import NON_FIELD, NOT_BOOLEAN, NOT_INTEGER, NOT_UNIQUE_TOGETHER, Invalid, problems_of
from services.catalog.domain.settings import settings_model
from shared.contracts.catalog import ObjectKind

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_DIGITS: Final = re.compile(r"-?[0-9]{1,19}\Z")
_UNIQUE: Final[Mapping[ObjectKind, tuple[str, str]]] = {
    "flow": ("slug", "Flow with this slug already exists."),
    "stage": ("name", "stage with this name already exists."),
    "policy": ("name", "Policy with this name already exists."),
    "brand": ("domain", "Brand with this domain already exists."),
}
_TOGETHER: Final[Mapping[ObjectKind, tuple[str, ...]]] = {
    "flow_binding": ("target", "stage", "order"),
    "policy_binding": ("policy", "target", "order"),
}


def is_uuid(text: str) -> bool:
    """Whether this is a UUID as we write it: lower case, with hyphens, nothing around."""
    return bool(_UUID.match(text))


def checked(catalog: Catalog, kind: ObjectKind, type_name: str, body: Mapping[str, Any], own: Key | None = None) -> dict[str, Any]:
    """The settings that this body makes, as plain values; `Invalid` with every problem that was found.

    Unknown fields are ignored, as recorded. `own` is the definition that is being changed, which does not clash with itself.
    """
    model = settings_model(kind, type_name)
    given, problems = _prepared(model, body)
    settings: dict[str, Any] = {}
    try:
        settings = model.model_validate(given).model_dump(mode="json")
    except ValidationError as failure:
        # What a validator is not asked about, because its text was no boolean, is not missing.
        problems = {name: found for name, found in problems_of(failure).items() if name not in problems} | problems
    whole = problems.pop(NON_FIELD, None)
    fields = settings or given
    resolved, unresolved = _resolved(catalog, links(kind, type_name), {name: fields[name] for name in fields if name not in problems})
    problems |= unresolved
    fields |= resolved
    problems |= _clashes(catalog, kind, {name: fields[name] for name in fields if name not in problems}, own)
    if not problems and settings:
        whole = _clash_together(catalog, kind, settings, own)
    if problems or whole:
        raise Invalid(problems or {NON_FIELD: whole})
    return settings


def _prepared(model: type[BaseModel], body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The known fields as authentik's fields read them: texts without blanks around, numbers for texts as texts, and of
    texts for truths only `true` and `false` (a blueprint's `enabled: no` is more likely a mistake)."""
    given: dict[str, Any] = {}
    problems: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name not in body:
            continue
        value = body[name]
        kinds = get_args(info.annotation) or (info.annotation,)
        if isinstance(value, str):
            value = value.strip()
            if "\0" in value:
                problems[name] = ["Null characters are not allowed."]
            if bool in kinds:
                truth = {"true": True, "false": False}.get(value.lower())
                problems |= {} if truth is not None else {name: [NOT_BOOLEAN]}
                value = bool(truth)
            elif int in kinds and not _DIGITS.match(value):
                problems[name] = [NOT_INTEGER]
        elif isinstance(value, bool):
            problems |= {name: [NOT_INTEGER]} if int in kinds else {}
        elif str in kinds and isinstance(value, int | float):
            value = str(value)
        given[name] = value
    return given, problems


def _resolved(catalog: Catalog, linked: Mapping[str, Link], fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The references as pks of what is there, and the problems of the others."""
    resolved: dict[str, Any] = {}
    problems: dict[str, Any] = {}
    for name, link in linked.items():
        value = fields.get(name)
        if value is None or (link.many and not isinstance(value, list | tuple)):
            continue
        found = [_referred(catalog, link, str(one)) for one in (value if link.many else [value])]
        wrong = [one for one in found if not isinstance(one, Definition)]
        if wrong:
            problems[name] = [wrong[0]]
        else:
            pks = [one.pk for one in found if isinstance(one, Definition)]
            resolved[name] = pks if link.many else pks[0]
    return resolved, problems


def _referred(catalog: Catalog, link: Link, pk: str) -> Definition | str:
    """What a reference names, or what is wrong with it."""
    pk = pk.lower()
    if not is_uuid(pk):
        return f"“{pk}” is not a valid UUID."
    if "flow_binding" in link.kinds:
        found = catalog.guarded(pk)
    else:
        found = next((one for kind in link.kinds if (one := catalog.get(kind, pk))), None)
    return found or f'Invalid pk "{pk}" - object does not exist.'


def _clashes(catalog: Catalog, kind: ObjectKind, fields: Mapping[str, Any], own: Key | None) -> dict[str, Any]:
    problems = {}
    if kind in _UNIQUE:
        field, text = _UNIQUE[kind]
        if field in fields and _others(catalog, kind, {field: fields[field]}, own):
            problems[field] = [text]
    if kind == "brand" and fields.get("default") and _others(catalog, kind, {"default": True}, own):
        problems["default"] = ["Only a single brand can be set as default."]
    return problems


def _clash_together(catalog: Catalog, kind: ObjectKind, fields: Mapping[str, Any], own: Key | None) -> list[str] | None:
    together = _TOGETHER.get(kind)
    # As in SQL, where nothing equals NULL: bindings of users and groups do not clash.
    if together is None or any(fields[name] is None for name in together):
        return None
    if not _others(catalog, kind, {name: fields[name] for name in together}, own):
        return None
    return [NOT_UNIQUE_TOGETHER.format(", ".join(together))]


def _others(catalog: Catalog, kind: ObjectKind, wanted: Mapping[str, Any], own: Key | None) -> bool:
    return any(found.key != own for found in catalog.matching(kind, wanted))
