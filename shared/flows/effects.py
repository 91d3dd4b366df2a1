"""`do`: the only way from a stage to the world (architecture §5).

Live, an ask goes out at once through an adapter and an order is noted for after the transition; in a replay the
recorded results are handed back; in a test it is a fake.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from shared.contracts.asks import Ask
from shared.contracts.model import Value
from shared.contracts.orders import Order

R = TypeVar("R", bound=Value)


@dataclass(frozen=True, slots=True)
class SecretField:
    """A handle for a secret that a visitor sent: says which field, has no value, cannot be printed into one."""

    name: str


class Effects(Protocol):
    """What a stage can want from the world."""

    async def ask(self, ask: Ask[R], secret: SecretField | None = None) -> R:
        """Ask, and wait for the result. `Unavailable` ends the step: nothing was decided, the session is intact."""
        ...

    def order(self, order: Order) -> None:
        """Have this done if, and only if, the transition of this step is accepted; `Unfounded` without the grounds for it."""
        ...

    def new_id(self, purpose: str) -> str:
        """A new id that a second run of the same step draws again."""
        ...

    def now_us(self) -> int:
        """The time of this step, in microseconds: one value per step, never before the session's last."""
        ...


@dataclass(frozen=True, slots=True)
class Answer(Mapping[str, object]):
    """The clear fields of a visitor's answer, and handles of the secret ones. `taken` are those that the stage wanted: if it passes,
    it has accepted them, and the session's cookie changes (architecture §3)."""

    clear: Mapping[str, object]
    secret: frozenset[str]
    taken: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> object:
        """The value of a clear field."""
        return self.clear[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the clear fields."""
        return iter(self.clear)

    def __len__(self) -> int:
        """How many clear fields there are."""
        return len(self.clear)

    def sealed(self, name: str) -> SecretField | None:
        """The handle of a secret field, None if it was not sent."""
        if name not in self.secret:
            return None
        self.taken.add(name)
        return SecretField(name)
