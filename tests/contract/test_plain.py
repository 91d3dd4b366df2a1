"""Of all messages, the fields that may hold anything are those that ADR 14 gives a reason for."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from shared.contracts.definitions import BODIES
from shared.contracts.kept import KEPT
from shared.contracts.messages import MESSAGES
from shared.contracts.model import Plain, Value

PAGE = Path(__file__).parents[2] / "docs" / "adr" / "0014-what-stays-plain.md"


def untyped(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """The fields of a model, and of those inside it, that hold anything."""
    if model in seen:
        return set()
    seen.add(model)
    found = set()
    for name, field in model.model_fields.items():
        parts = _parts(field.annotation)
        found |= {f"{model.__name__}.{name}"} if Any in parts else set()
        found |= {one for part in parts if isinstance(part, type) and issubclass(part, BaseModel) for one in untyped(part, seen)}
    return found


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for argument in get_args(annotation) for part in _parts(argument))]


class Inner(Value):
    facts: Plain


class Alone(Value):
    one: Inner


class Among(Value):
    many: dict[str, tuple[Inner | None, ...]]


class Itself(Value):
    value: tuple[Any, ...]


@pytest.mark.parametrize(
    ("model", "found"), [(Inner, {"Inner.facts"}), (Alone, {"Inner.facts"}), (Among, {"Inner.facts"}), (Itself, {"Itself.value"})]
)
def test_a_field_that_holds_anything_is_found(model: type[BaseModel], found: set[str]) -> None:
    assert untyped(model, set()) == found


def test_what_stays_plain_has_a_reason() -> None:
    models: tuple[type[BaseModel], ...] = (*(one for messages in MESSAGES.values() for one in messages), *KEPT, *BODIES.values())
    seen: set[type[BaseModel]] = set()
    found = {field for model in models for field in untyped(model, seen)}
    rows = [line.split(" | ")[0] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert found == {field for row in rows for field in re.findall(r"`(\w+\.\w+)`", row)}
