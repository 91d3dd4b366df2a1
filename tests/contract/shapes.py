"""From a message's model to values of it: one full example that is always the same, and hypothesis strategies."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import count
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

PLAIN_KEYS = ("none", "truth", "number", "share", "text", "raw", "list", "inner")
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


class Limits:
    """What the metadata of a field says about its values."""

    def __init__(self, metadata: Iterator[Any]) -> None:
        self.low, self.high, self.shortest, self.longest = 0, 2**53, 0, 64
        self.known: tuple[str, ...] = ()
        for mark in metadata:
            match mark:
                case Ge(ge=low):
                    self.low = low  # type: ignore[assignment]
                case Le(le=high):
                    self.high = high  # type: ignore[assignment]
                case MinLen(min_length=shortest):
                    self.shortest = shortest
                case MaxLen(max_length=longest):
                    self.longest = longest
                case BeforeValidator(func=partial(args=(tuple(known),))):
                    self.known = known
                case _:
                    pass


def flat(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield from flat(tuple(mark.metadata))
        else:
            yield mark


def example(model: type[BaseModel]) -> BaseModel:
    """An instance in which every field is set, every variant of a union is met where there is room, and no two numbers are alike."""
    return _built(model, count(1))


def _built(model: type[BaseModel], numbers: "count[int]", path: str = "") -> BaseModel:
    fields = model.model_fields.items()
    return model.model_validate({name: _value(info.annotation, tuple(info.metadata), numbers, f"{path}{name}") for name, info in fields})


def _value(kind: Any, metadata: tuple[Any, ...], numbers: "count[int]", path: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    limits = Limits(flat(metadata))
    if origin is Annotated:
        return _value(args[0], (*metadata, *args[1:]), numbers, path)
    if origin is Literal:
        return args[0]
    if origin in (Union, UnionType):
        return _value(next(arg for arg in args if arg is not NoneType), metadata, numbers, path)
    if origin is tuple:
        inner = _variants(args[0]) if args[1:] == (...,) else args
        return tuple(_value(one, (), numbers, path) for one in inner)
    if origin is dict:
        return _plain(numbers) if args[1] is Any else {f"{path}-key": _value(args[1], (), numbers, path)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _built(kind, numbers)
    if kind is bool:
        return True
    if kind is int:
        return limits.low + next(numbers)
    if kind is bytes:
        return bytes([next(numbers) % 256]) * max(limits.shortest, 1)
    assert kind is str, kind
    return limits.known[0] if limits.known else f"{path} Zoë ☂"


def _variants(kind: Any) -> tuple[Any, ...]:
    """All variants of a union of models, else the type itself."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    variants = [one for one in get_args(inner) if isinstance(one, type) and issubclass(one, BaseModel)]
    return tuple(variants) if get_origin(inner) in (Union, UnionType) and variants else (kind,)


def _plain(numbers: "count[int]") -> dict[str, Any]:
    values = (None, True, next(numbers), 0.5, "Zoë", b"\xff\0", (1, "two"), {"deep": (None,)})
    return dict(zip(PLAIN_KEYS, values, strict=True))


def plains() -> st.SearchStrategy[Any]:
    """Plain values as the wire carries them."""
    floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: one != 0 or math.copysign(1, one) > 0)
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | _TEXT | st.binary(max_size=12)
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=8
    )


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Instances of a model within all its limits."""
    fields = {name: _strategy(info.annotation, tuple(info.metadata)) for name, info in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(model.model_validate)


def _strategy(kind: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:  # noqa: C901 - one line a type
    origin, args = get_origin(kind), get_args(kind)
    limits = Limits(flat(metadata))
    if origin is Annotated:
        return _strategy(args[0], (*metadata, *args[1:]))
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of([st.none() if arg is NoneType else _strategy(arg, metadata) for arg in args])
    if origin is tuple:
        if args[1:] == (...,):
            return st.lists(_strategy(args[0], ()), max_size=2).map(tuple)
        return st.tuples(*(_strategy(one, ()) for one in args))
    if origin is dict:
        return st.dictionaries(_TEXT, plains() if args[1] is Any else _strategy(args[1], ()), max_size=2)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return st.deferred(lambda: instances(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(limits.low, limits.high)
    if kind is bytes:
        return st.binary(min_size=limits.shortest, max_size=min(limits.longest, max(limits.shortest, 40)))
    assert kind is str, kind
    return st.sampled_from(limits.known) if limits.known else _TEXT
