"""What the executor's sessions and edge need from its directory, as ports; `directory/` and the tests fill them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from shared.contracts.asks import Ask
from shared.contracts.model import Value
from shared.contracts.orders import Order, OrderResult
from shared.contracts.people import UserFacts
from shared.contracts.steps import Sealed
from shared.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True)
class AskKey:
    """Under which an ask is answered once: the same key gets the same answer, also from another worker."""

    session: str
    version: int
    command: str
    n: int
    kind: str


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Under which the orders of a transition are carried out once. Met with another `transition`: `AnotherTransition`.

    `partition` and `offset` are where in `executor.sessions` it stands, for who asks later whether it still does.
    """

    session: str
    version: int
    transition: str
    partition: int | None = field(default=None, compare=False)
    offset: int | None = field(default=None, compare=False)


class Busy(Unavailable):
    """The hash pool is full: nothing was counted; come back after so many seconds."""

    code = "E_BUSY"

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__("busy")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Noted:
    """A transition as somebody remembers it: where it stood in its partition, and its id."""

    offset: int
    transition: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What PostgreSQL remembers of a partition of sessions: the furthest transition with orders, how far it reached, and its states."""

    ordered: Noted | None = None
    sessions: int = 0
    states: int = 0


class AnotherTransition(Exception):
    """The orders of another transition were carried out under this key. `noted` is that one, as PostgreSQL remembers it; its
    offset is -1 where that is not known."""

    def __init__(self, key: OrderKey, noted: Noted) -> None:
        super().__init__(f"{key.session} {key.version}")
        self.noted = noted


Divergence = Literal["committed", "below_start", "acknowledged", "end", "state", "order"]
"""By what it showed that a partition of `executor.sessions` has lost records (architecture §4.15): an offset was committed, or known to
its owner, above the log's `end`, or is below its start; an append was acknowledged below what was known; a written state, or an order
that PostgreSQL remembers, is of a transition that does not stand where it stood."""


class LogDiverged(Exception):
    """A partition of `executor.sessions` does not have what was known of it: it is set aside. `offset` is what was known, `bound` the
    end or start that the log has."""

    def __init__(self, partition: int, offset: int, bound: int, reason: Divergence) -> None:
        super().__init__(f"executor.sessions {partition}: offset {offset} was known, the log has {bound} ({reason})")
        self.partition = partition
        self.offset = offset
        self.bound = bound
        self.reason: Divergence = reason


@dataclass(frozen=True, slots=True)
class Aside:
    """A partition of `executor.sessions` that is set aside, and since when. `repair`: somebody has asked for that."""

    partition: int
    offset: int
    bound: int
    reason: str
    since_us: int
    repair: bool = False


class SetAside(Protocol):
    """What PostgreSQL remembers of partitions: which are set aside, and which transitions had orders. `Unavailable` when it is away."""

    async def rows(self) -> Mapping[int, Aside]:
        """Those that are set aside."""
        ...

    async def put(self, aside: Aside) -> None:
        """Set a partition aside; one that is already stays as it is."""
        ...

    async def reached(self, ends: Mapping[int, int]) -> None:
        """These partitions reach so far now."""
        ...

    async def remembered(self, partition: int) -> Remembered:
        """What a new owner has to find in the log."""
        ...

    async def ordered(self, partition: int, since_us: int) -> Sequence[OrderKey]:
        """The transitions of this partition whose orders were carried out since then."""
        ...

    async def repaired(self, partition: int) -> None:
        """The partition is whole again: nothing that was noted of it before counts any more."""
        ...


class Directory(Protocol):
    """Users, credentials and logins, for the worker."""

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        """The ask's `result` model; `Busy` before anything was counted, `Unavailable` when PostgreSQL is away (1 s)."""
        ...

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        """Carry out all orders of one transition in one PostgreSQL transaction, once; the same key gets the same results."""
        ...


class Logins(Protocol):
    """Logins and users, for the edge."""

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        """Is this login still good? Marks it claimed (architecture §3). `Unavailable` when PostgreSQL is away."""
        ...

    async def facts(self, user: int) -> UserFacts | None:
        """The user as they are now, None if gone."""
        ...


class SealOpener(Protocol):
    """The worker's half of the epoch keys."""

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        """The visitor's body; `BadSeal` if it is not for this session and command, or the key is gone."""
        ...

    async def mark(self, epoch: str, *parts: bytes) -> str:
        """A MAC over these parts, under a key that is gone with this epoch's; `BadSeal` if it is gone."""
        ...
