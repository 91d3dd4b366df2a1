"""What deciding and keeping sessions need from around them, as ports; `worker.py`, `asking.py` and `bootstrap/` fill them, and tests."""

from collections.abc import Callable, Iterable
from typing import Protocol

from shared.contracts.planner import FlowLocated, FlowRequested, PlanMade, PlanRefused, PlanRequested
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.contracts.steps import StepReplied
from shared.messaging.log import Record

AtHome = Callable[[StepReplied], bool]
"""Takes a reply to an edge of this very process, for which it need not go through the log: True if it is that one's (ADR 15)."""


class Planner(Protocol):
    """Who makes plans; `Unavailable` after 1.5 s."""

    async def plan(self, question: PlanRequested) -> PlanMade | PlanRefused:
        """A plan, or why not."""
        ...

    async def locate(self, question: FlowRequested) -> FlowLocated:
        """The flow of a designation."""
        ...


class Policy(Protocol):
    """Who reaches verdicts; `Unavailable` after 1.5 s."""

    async def decide(self, question: VerdictRequested) -> VerdictReached:
        """A verdict, with its reasons."""
        ...


class Retirements(Protocol):
    """What the catalog has taken back."""

    def is_retired(self, flow: str, version: int) -> bool:
        """Whether a run that was planned from this version of the flow (by pk) has to end. `Unavailable` while that is not known."""
        ...


class Marks(Protocol):
    """How far the partitions are done: what may be committed (architecture §4.5)."""

    def begin(self, record: Record) -> None:
        """Take note of a record, in the order of its partition."""
        ...

    def done(self, record: Record) -> None:
        """All that the record led to is in the log."""
        ...


class Unreadable(Protocol):
    """Where records go that cannot be handled, so that nothing waits behind them."""

    async def put(self, record: Record, reason: str, detail: str = "", error: Exception | None = None) -> None:
        """Keep it with an error code and a text that holds nothing a visitor sent; raises nothing."""
        ...

    async def put_once(self, record: Record, reason: str, detail: str = "", error: Exception | None = None) -> None:
        """The same, for who reads again what was read before: what was told of a record stays told."""
        ...


class Watch(Protocol):
    """Who counts and times what happens. Values come from closed sets (types, topics, codes, flows), never from visitors."""

    def step(self, stage: str, outcome: str, seconds: float) -> None:
        """A step was replied to; `stage` is the type of the stage that it met ("" for none)."""
        ...

    def queue_wait(self, topic: str, seconds: float) -> None:
        """A record of this topic lay so long before anybody worked on it."""
        ...

    def open_run(self, flow: str, change: int) -> None:
        """So many more runs of this flow are open."""
        ...

    def late_state(self) -> None:
        """A record of a session's state stands behind a newer one."""
        ...

    def forget_lag(self, group: str, partitions: Iterable[int]) -> None:
        """These partitions are somebody else's now."""
        ...

    def set_aside(self, topic: str, partition: int, offset: int | None) -> None:
        """A partition is set aside from this offset on; None: not any more."""
        ...


Watching = Callable[[], Watch]
"""Whoever watches at the moment: telemetry may be set up after the parts that are watched."""


class Unwatched:
    """Nobody counts."""

    def step(self, stage: str, outcome: str, seconds: float) -> None:
        """See `Watch.step`."""

    def queue_wait(self, topic: str, seconds: float) -> None:
        """See `Watch.queue_wait`."""

    def open_run(self, flow: str, change: int) -> None:
        """See `Watch.open_run`."""

    def late_state(self) -> None:
        """See `Watch.late_state`."""

    def forget_lag(self, group: str, partitions: Iterable[int]) -> None:
        """See `Watch.forget_lag`."""

    def set_aside(self, topic: str, partition: int, offset: int | None) -> None:
        """See `Watch.set_aside`."""
