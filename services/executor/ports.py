"""What the executor's worker and edge need from outside, as ports; the adapters and the tests fill them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.contracts.model import ShortText, Value
from shared.contracts.people import UserFacts
from shared.contracts.steps import Sealed
from shared.flows.asks import Ask
from shared.flows.orders import Order
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
    """Under which the orders of a transition are carried out once. Met with another `transition`, the log has lost its
    tail: `LogDiverged`."""

    session: str
    version: int
    transition: str


class OrderResult(Value):
    """What came of an order, by the number of its `OrderRecord`: done, or refused with a reason (`user_gone`,
    `user_disabled`, `epoch_over`, `failed`)."""

    n: int
    done: bool
    reason: ShortText = ""


class Busy(Unavailable):
    """The hash pool is full: nothing was counted; come back after so many seconds."""

    code = "E_BUSY"

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__("busy")
        self.retry_after_s = retry_after_s


class LogDiverged(Exception):
    """PostgreSQL remembers another transition under this key than the log has: the partition must stop."""


class Directory(Protocol):
    """Users, credentials and logins, for the worker."""

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        """The ask's `result` model; `Busy` before anything was counted, `Unavailable` when PostgreSQL is away (1 s)."""
        ...

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        """Carry out all orders of one transition in one PostgreSQL transaction, once; the same key gets the same results."""
        ...


class Retirements(Protocol):
    """What the catalog has taken back, for the worker."""

    def is_retired(self, flow: str, version: int) -> bool:
        """Whether a run that was planned from this version of the flow (by pk) has to end. `Unavailable` while that is not known."""
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
