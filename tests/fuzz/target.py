"""What a target of the fuzz job is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

Run = Callable[[bytes], None]
"""Tries one input; whatever it raises is a crash."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to fuzz: how to set it up, and inputs to begin with."""

    opened: Callable[[], AbstractContextManager[Run]]
    seeds: Callable[[], list[bytes]]
