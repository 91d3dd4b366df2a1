"""Durations as authentik writes them: `hours=1;minutes=2`, pairs separated by `;` only (docs/compat.md, Durations)."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

_KEYS: Final = frozenset({"microseconds", "milliseconds", "seconds", "minutes", "hours", "days", "weeks"})
_LONGEST: Final = timedelta(days=36_525)


def microseconds(text: str) -> int:
    """The length of a duration; unknown keys count nothing. `ValueError` without one known key, or out of bounds."""
    parts: dict[str, float] = {}
    for pair in text.split(";"):
        key, value = pair.split("=")
        if key.lower() in _KEYS:
            parts[key.lower()] = float(value)
    if not parts:
        raise ValueError("no known key")
    length = timedelta(**parts)
    if not timedelta() <= length <= _LONGEST:
        raise ValueError("negative, or longer than a hundred years")
    return length // timedelta(microseconds=1)


def _checked(text: str) -> str:
    try:
        microseconds(text)
    except (ValueError, OverflowError):
        raise PydanticCustomError("duration", "{value} is not in the correct format of 'hours=3;minutes=1'.", {"value": text}) from None
    return text


Duration = Annotated[str, StringConstraints(min_length=1), AfterValidator(_checked)]
"""A configuration field that holds a duration. Kept as it was written, because that is what the API gives back."""
