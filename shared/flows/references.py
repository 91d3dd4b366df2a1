"""Marks on configuration fields that hold ids of other objects, so that one piece of code resolves them all."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Reference:
    """Annotation of a field: `Annotated[str | None, Reference("flow")]`, `Annotated[tuple[str, ...], Reference("stage", many=True)]`."""

    kind: Literal["flow", "stage"]
    many: bool = False


def references(config: type[BaseModel]) -> dict[str, Reference]:
    """The fields of a configuration that refer to other objects."""
    return {name: mark for name, info in config.model_fields.items() for mark in info.metadata if isinstance(mark, Reference)}
