"""Every stage and policy type of this release, found at start-up. Two of one name are refused, both files named."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from shared.flows import policy_types, stage_types
from shared.flows.policy import Policy
from shared.flows.stage import Stage

T = TypeVar("T", Stage[Any], Policy[Any])


class TypeClash(Exception):
    """Two types want the same name, model or API path."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The types by their names."""

    stages: Mapping[str, Stage[Any]]
    policies: Mapping[str, Policy[Any]]

    def by_model(self, label: str) -> Stage[Any] | Policy[Any] | None:
        """The type that blueprints call `<app>.<model>`, in any case."""
        types: tuple[Stage[Any] | Policy[Any], ...] = (*self.stages.values(), *self.policies.values())
        for found in types:
            if f"{found.app}.{found.model}" == label.lower():
                return found
        return None


@cache
def registry() -> Registry:
    """The types of this release."""
    return Registry(_found(stage_types, Stage), _found(policy_types, Policy))  # type: ignore[type-abstract]


def _found(package: ModuleType, base: type[T]) -> dict[str, T]:
    out: dict[str, T] = {}
    origin: dict[tuple[str, str], str] = {}
    for module in _modules(package):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if not issubclass(found, base) or inspect.isabstract(found) or found.__module__ != module.__name__:
                continue
            for claim in (("name", found.name), ("model", f"{found.app}.{found.model}"), ("path", found.path)):
                if claim in origin:
                    raise TypeClash(f"{claim[0]} {claim[1]}: both {origin[claim]} and {module.__file__}")
                origin[claim] = str(module.__file__)
            out[found.name] = found()
    return out


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        yield importlib.import_module(f"{package.__name__}.{info.name}")
