"""Why a blueprint is refused, and where in it."""

from dataclasses import dataclass
from typing import Final

from shared.kernel.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class BlueprintRefused(SluiceError):
    """A blueprint that cannot be applied; nothing of it is. `reason` is a stable code, the text names the place."""

    code = "E_BLUEPRINT"

    def __init__(self, reason: str, text: str, place: Place) -> None:
        super().__init__(f"{place}: {text} [{reason}]")
        self.reason: Final = reason
        self.place: Final = place


SYNTAX: Final = "E_BP_SYNTAX"
"""Not YAML, or YAML that we refuse: two documents, directives, keys that are no text, bytes that are not UTF-8."""
SIZE: Final = "E_BP_SIZE"
"""Larger than allowed: the file, a value, the number of values, the depth."""
ALIAS: Final = "E_BP_ALIAS"
"""Anchors, aliases and merge keys: a few bytes can stand for gigabytes."""
DUPLICATE: Final = "E_BP_DUPKEY"
"""A mapping names a key twice."""
TAG: Final = "E_BP_TAG"
"""A tag that is unknown, not supported here, or used wrongly."""
SHAPE: Final = "E_BP_SHAPE"
"""Not the structure of a blueprint: a wrong type, an unknown key, a version that is not 1."""
MODEL: Final = "E_BP_MODEL"
"""A model that does not exist in this release."""
ENTRY: Final = "E_BP_ENTRY"
"""An entry that cannot be applied: its fields, its identifiers, what it refers to."""
