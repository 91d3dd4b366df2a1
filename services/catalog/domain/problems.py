"""What is wrong with a body, in authentik's words: fields to lists of texts, `non_field_errors` for the whole."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.kernel.errors import SluiceError

NON_FIELD: Final = "non_field_errors"
REQUIRED: Final = "This field is required."
NULL: Final = "This field may not be null."
NOT_BOOLEAN: Final = "Must be a valid boolean."
NOT_INTEGER: Final = "A valid integer is required."
NOT_UNIQUE_TOGETHER: Final = "The fields {} must make a unique set."

_FIXED: Final = {
    "missing": REQUIRED,
    "string_too_short": "This field may not be blank.",
    "string_type": "Not a valid string.",
    "string_unicode": "Not a valid string.",
    "bool_type": NOT_BOOLEAN,
    "bool_parsing": NOT_BOOLEAN,
    "int_type": NOT_INTEGER,
    "int_parsing": NOT_INTEGER,
    "int_from_float": NOT_INTEGER,
    "int_parsing_size": "String value too large.",
    "string_pattern_mismatch": 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.',
}


class Invalid(SluiceError):
    """A definition that cannot be as asked. `problems` is the body of authentik's answer 400."""

    code = "E_CATALOG_INVALID"

    def __init__(self, problems: Mapping[str, Any]) -> None:
        super().__init__("; ".join(f"{name}: {_flat(found)}" for name, found in problems.items()))
        self.problems: Final = dict(problems)


def non_field(text: str) -> Invalid:
    """A refusal of the whole."""
    return Invalid({NON_FIELD: [text]})


def problems_of(failure: ValidationError) -> dict[str, Any]:
    """The problems that a model found; those of an element of a list under its index."""
    problems: dict[str, Any] = {}
    for error in failure.errors(include_url=False):
        place = [str(part) for part in error["loc"]] or [NON_FIELD]
        if len(place) == 1:
            known = problems.setdefault(place[0], [])
            if isinstance(known, list):
                known.append(_text(error))
        else:
            below = problems.setdefault(place[0], {})
            if isinstance(below, dict):
                below.setdefault(place[1], []).append(_text(error))
    return problems


def _text(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _FIXED and not (error["input"] is None and kind != "missing"):
        return _FIXED[kind]
    if error["input"] is None:
        return NULL
    match kind:
        case "literal_error" | "enum":
            return f'"{error["input"]}" is not a valid choice.'
        case "string_too_long":
            return f"Ensure this field has no more than {context['max_length']} characters."
        case "less_than_equal":
            return f"Ensure this value is less than or equal to {context['le']}."
        case "greater_than_equal":
            return f"Ensure this value is greater than or equal to {context['ge']}."
        case "tuple_type" | "list_type":
            return f'Expected a list of items but got type "{type(error["input"]).__name__}".'
        case "dict_type":
            return f'Expected a dictionary of items but got type "{type(error["input"]).__name__}".'
        case _:
            return error["msg"].removeprefix("Value error, ")


def _flat(found: object) -> str:
    if isinstance(found, Mapping):
        return "; ".join(f"{name}: {_flat(below)}" for name, below in found.items())
    return " ".join(cast("list[str]", found))
