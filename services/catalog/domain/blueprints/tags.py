"""The tags of the format that we resolve: `!KeyOf`, `!Find`, `!Context`, `!Format`, `!Condition`.

The others are refused by the reader with their place: `!Env` and `!File` would let a blueprint read this process's
secrets, the rest is a later part. Tags are resolved everywhere, recursively (docs/compat.md, Blueprints).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.catalog.domain.blueprints import errors
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.reader import Tagged

SUPPORTED: Final = frozenset({"!KeyOf", "!Find", "!Context", "!Format", "!Condition"})
_MAX_TEXT: Final = 64 * 1024
_MODES: Final[Mapping[str, Callable[[list[bool]], bool]]] = {
    "AND": all,
    "OR": any,
    "XOR": lambda given: sum(given) % 2 == 1,
    "NAND": lambda given: not all(given),
    "NOR": lambda given: not any(given),
    "XNOR": lambda given: sum(given) % 2 == 0,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What tags may look at: the document's context, the ids of earlier entries, and objects by their fields.

    `find` takes a model and the wanted values and returns a pk or None; `LookupError` if it knows no such model or field.
    """

    context: Mapping[str, Any]
    ids: Mapping[str, str]
    find: Callable[[str, Mapping[str, Any]], str | None]


def resolved(value: Any, scope: Scope) -> Any:
    """The value without tags; `BlueprintRefused` where one cannot be resolved."""
    if isinstance(value, Tagged):
        return _tag(value, scope)
    if isinstance(value, dict):
        return {name: resolved(one, scope) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, scope) for one in value]
    return value


def _tag(tagged: Tagged, scope: Scope) -> Any:
    match tagged.tag:
        case "!KeyOf":
            return _key_of(tagged, scope)
        case "!Find":
            return _find(tagged, scope)
        case "!Context":
            return _context(tagged, scope)
        case "!Format":
            return _format(tagged, scope)
        case _:
            return _condition(tagged, scope)


def _key_of(tagged: Tagged, scope: Scope) -> str:
    if not isinstance(tagged.value, str):
        raise _wrong(tagged, "takes an id")
    if tagged.value not in scope.ids:
        raise _wrong(tagged, f"failed to find entry with `id` of `{tagged.value[:100]}` before this one")
    return scope.ids[tagged.value]


def _find(tagged: Tagged, scope: Scope) -> str | None:
    model, *pairs = _arguments(tagged, scope, 2)
    if not isinstance(model, str) or not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise _wrong(tagged, "takes a model and pairs of a field and a value")
    try:
        return scope.find(model, dict(pairs))
    except LookupError as failure:
        raise _wrong(tagged, f"knows no {failure.args[0]}") from None


def _context(tagged: Tagged, scope: Scope) -> Any:
    name, *default = [tagged.value] if isinstance(tagged.value, str) else _arguments(tagged, scope, 1)
    if not isinstance(name, str) or len(default) > 1:
        raise _wrong(tagged, "takes a key, or a key and a default")
    if name not in scope.context:
        return default[0] if default else None
    # One step only: a context that refers to itself would not end.
    found = scope.context[name]
    return resolved(found, Scope({}, scope.ids, scope.find)) if isinstance(found, Tagged) else found


def _format(tagged: Tagged, scope: Scope) -> str:
    text, *values = _arguments(tagged, scope, 1)
    # Only `%s`: a width could ask for gigabytes, a name look into objects.
    if not isinstance(text, str) or text.replace("%%", "").replace("%s", "").count("%"):
        raise _wrong(tagged, "takes a text with no other placeholder than %s")
    if text.replace("%%", "").count("%s") != len(values):
        raise _wrong(tagged, "takes as many values as placeholders")
    made = text % tuple(values)
    if len(made) > _MAX_TEXT:
        raise _wrong(tagged, f"makes more than {_MAX_TEXT} characters")
    return made


def _condition(tagged: Tagged, scope: Scope) -> bool:
    mode, *values = _arguments(tagged, scope, 2)
    if not isinstance(mode, str) or mode.upper() not in _MODES:
        raise _wrong(tagged, f"takes one of {', '.join(_MODES)} and at least one value")
    return _MODES[mode.upper()]([bool(value) for value in values])


def _arguments(tagged: Tagged, scope: Scope, least: int) -> list[Any]:
    if not isinstance(tagged.value, list) or len(tagged.value) < least:
        raise _wrong(tagged, f"takes a list of at least {least}")
    return [resolved(one, scope) for one in tagged.value]


def _wrong(tagged: Tagged, text: str) -> BlueprintRefused:
    return BlueprintRefused(errors.TAG, f"{tagged.tag} {text}", tagged.place)
