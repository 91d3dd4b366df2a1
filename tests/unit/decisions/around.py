"""What stands around a session that decides: all that it asks is answered from memory, at once."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.executor.common.ports import SealOpener
from shared.contracts.planner import PlannedStage
from shared.flows.registry import Registry, registry
from tests.unit.executor.world import FakeDirectory, FixedPlanner, FixedPolicy, FixedRetirements, PlainOpener

OPENER = PlainOpener()
T = TypeVar("T")


def at_once(doing: Coroutine[Any, Any, T]) -> T:
    """What comes of it, without a loop: what decides waits for nothing."""
    try:
        doing.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        doing.close()
    raise AssertionError("a decision waited for something")


@dataclass
class Around:
    """What is around a session: who there is, which flows, what policy says, what was taken back."""

    flows: Mapping[str, Sequence[PlannedStage]] = field(default_factory=dict)
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    policy: FixedPolicy = field(default_factory=FixedPolicy)
    retirements: FixedRetirements = field(default_factory=FixedRetirements)
    opener: SealOpener = OPENER
    types: Registry = field(default_factory=registry)
    planner: FixedPlanner = field(init=False)

    def __post_init__(self) -> None:
        self.planner = FixedPlanner(self.flows)
