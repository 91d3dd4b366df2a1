"""The base of all messages and of the values inside them, and the few types that they share."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number that counts something, a version, an offset."""
Micros = Annotated[int, Field(ge=0, le=2**60)]
"""A time: microseconds since 1970-01-01 UTC; or a duration."""
Text = Annotated[str, Field(max_length=4096)]
ShortText = Annotated[str, Field(max_length=512)]
QUERY_MAX = 12_800
"""A path of 4 KiB as the value of `next`, each byte of it percent-encoded, and some room."""
Query = Annotated[str, Field(max_length=QUERY_MAX)]
Plain = dict[str, Any]
"""An object of plain values (None, bool, int, float, str, tuple, dict), as `wire` carries them."""


def open_enum(*known: str) -> BeforeValidator:
    """For a text with known values of which a newer writer may have more: what is not known here reads as `unknown`."""
    return BeforeValidator(partial(_known_or_unknown, known))


def _known_or_unknown(known: tuple[str, ...], value: object) -> object:
    return "unknown" if isinstance(value, str) and value not in known else value


class Value(BaseModel):
    """A part of a message. Frozen and strict; a field that is not known is refused (a new field is a new version)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """See `BaseModel.model_copy`, which copies twice what this copies once: a value has no private and no extra fields."""
        if deep:
            return super().model_copy(update=update, deep=True)
        changes = update or {}
        copy = object.__new__(type(self))
        object.__setattr__(copy, "__dict__", {**self.__dict__, **changes})
        object.__setattr__(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__ | changes.keys())
        object.__setattr__(copy, "__pydantic_extra__", None)
        object.__setattr__(copy, "__pydantic_private__", None)
        return copy


class Contract(Value):
    """A message: `wire_type` and `wire_version` are what the envelope calls it and never change their meaning.

    One that `proves_itself` is named by its own hash: whoever wrote it, it can only be what was asked for.
    """

    wire_type: ClassVar[str]
    wire_version: ClassVar[int] = 1
    proves_itself: ClassVar[bool] = False
