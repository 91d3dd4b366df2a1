"""The fields of an answer: what a visitor may send to a stage, checked as authentik's API checks it.

The texts and codes are part of the HTTP protocol (docs/compat.md, Answers). A field is clear
or secret: only clear ones reach the stage and the history, of a secret one the stage gets a handle (architecture §4.10).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from shared.contracts.steps import Problem, Problems

NON_FIELD: Final = "non_field_errors"


def problem(text: str, code: str = "invalid") -> Problem:
    """One thing that is wrong with an answer, as the protocol shows it."""
    return Problem(string=text, code=code)


class Invalid(Exception):
    """A value that a field refuses."""

    def __init__(self, text: str, code: str = "invalid") -> None:
        super().__init__(code)
        self.problem = problem(text, code)


@dataclass(frozen=True, slots=True)
class TextField:
    """A text. Numbers are taken as their text; blanks around it are cut off if `trim`. `max_bytes` bounds what is hashed."""

    required: bool = True
    allow_blank: bool = False
    allow_null: bool = False
    trim: bool = True
    secret: bool = False
    max_length: int = 4096

    def clean(self, value: Any) -> Any:
        """The value as the stage gets it; `Invalid` if it is refused."""
        if value is None:
            if self.allow_null:
                return None
            raise Invalid("This field may not be null.", "null")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Invalid("Not a valid string.")
        text = value if isinstance(value, str) else _number(value)
        _check_text(text)
        if self.trim:
            text = text.strip()
        if not text and not self.allow_blank:
            raise Invalid("This field may not be blank.", "blank")
        if len(text.encode()) > self.max_length:
            raise Invalid(f"Ensure this field has no more than {self.max_length} characters.", "max_length")
        return text


@dataclass(frozen=True, slots=True)
class BooleanField:
    """Yes or no, in the spellings that the API takes."""

    required: bool = True
    secret: bool = False

    def clean(self, value: Any) -> Any:
        """The value as the stage gets it; `Invalid` if it is refused."""
        if value is None:
            raise Invalid("This field may not be null.", "null")
        word = value.lower() if isinstance(value, str) else value if isinstance(value, int) else None
        if word in ("true", "t", "1", "on", "yes", "y", 1):
            return True
        if word in ("false", "f", "0", "off", "no", "n", "", 0):
            return False
        raise Invalid("Must be a valid boolean.")


@dataclass(frozen=True, slots=True)
class ObjectField:
    """A JSON object that the stage looks into by itself."""

    required: bool = True
    allow_null: bool = False
    max_length: int = 8192
    secret: ClassVar[bool] = False

    def clean(self, value: Any) -> Any:
        """The value as the stage gets it; `Invalid` if it is refused."""
        if value is None and self.allow_null:
            return None
        if value is None:
            raise Invalid("This field may not be null.", "null")
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise Invalid(f'Expected a dictionary of items but got type "{kind}".', "not_a_dict")
        _check_inside(value)
        if len(json.dumps(value)) > self.max_length:
            raise Invalid(f"Ensure this field has no more than {self.max_length} characters.", "max_length")
        return value


def _number(value: float) -> str:
    # What the edge's reader refuses as well; the text of an integer without end would cost its length squared.
    if not -(2**63) <= value < 2**63 if isinstance(value, int) else not math.isfinite(value):
        raise Invalid("Not a valid string.")
    return str(value)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Invalid("Null characters are not allowed.", "null_characters_not_allowed")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise Invalid("Not a valid string.")


def _check_inside(value: Any, depth: int = 8) -> None:
    """`Invalid` for what the history cannot carry: its messages hold no NUL, no half characters, and bounded numbers and depth."""
    match value:
        case str():
            _check_text(value)
        case dict() | list() if not depth:
            raise Invalid("Nested too deeply.")
        case dict():
            for name, inner in value.items():
                _check_text(name)
                _check_inside(inner, depth - 1)
        case list():
            for inner in value:
                _check_inside(inner, depth - 1)
        case int() | float():
            _number(value)
        case _:
            pass


Field = TextField | BooleanField | ObjectField
COMPONENT: Final = TextField(required=False)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An answer that passed its fields: the clear part, and the secret one, which goes no further than the effects."""

    clear: Mapping[str, Any]
    secret: Mapping[str, str]


def clean(fields: Mapping[str, Field], body: Any) -> Cleaned | Problems:
    """Check a parsed body against a stage's fields: the cleaned answer, or the problems by field.

    Unknown fields are ignored and never kept; `component` may be absent, but not empty (docs/compat.md, Answers).
    """
    if not isinstance(body, dict):
        if body is None:
            return {NON_FIELD: (problem("No data provided", "null"),)}
        return {NON_FIELD: (problem(f"Invalid data. Expected a dictionary, but got {type(body).__name__}."),)}
    clear: dict[str, Any] = {}
    secret: dict[str, str] = {}
    problems: Problems = {}
    for name, field in {"component": COMPONENT, **fields}.items():
        if name not in body:
            if field.required:
                problems[name] = (problem("This field is required.", "required"),)
            continue
        try:
            value = field.clean(body[name])
        except Invalid as refused:
            problems[name] = (refused.problem,)
            continue
        if field.secret:
            if value is not None:
                secret[name] = value
        elif name != "component" or name in fields:
            clear[name] = value
    return problems or Cleaned(clear, secret)
