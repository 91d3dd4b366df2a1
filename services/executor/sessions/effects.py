"""`do`, live: asks go out through the directory at once and are recorded, orders are noted for after the transition.

`RecordedEffects` is its twin for a replay: it hands back what the transition recorded, so that the decision comes out the same.
What the visitor sent is opened here too, for one step: parsed, and marked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from services.executor.common.ports import AskKey, Directory, SealOpener
from services.executor.sessions.answered import answers
from shared.contracts.asks import Ask, Asked, asked
from shared.contracts.errors import BadSeal
from shared.contracts.model import Value
from shared.contracts.orders import Order
from shared.contracts.steps import Shown, StepRequested
from shared.flows.effects import Effects, SecretField
from shared.flows.evidence import Unfounded
from shared.flows.orders import lack_of
from shared.kernel.ids import derived_id

R = TypeVar("R", bound=Value)


class NotingEffects(Effects, Protocol):
    """Effects that note what went through them, for the transition."""

    secret_key: bytes
    asks: list[Asked]
    orders: list[Order]


@dataclass(slots=True)
class LiveEffects:
    """The effects of one step. `secrets` are the secret fields of the visitor's answer, by name, as the stage's fields took
    them (`Cleaned.secret`); they stay in here, and so do `devices`, the logins that were made in the browser before."""

    directory: Directory
    secret_key: bytes
    session: str
    version: int
    command: str
    at_us: int
    devices: Sequence[str] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    asks: list[Asked] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    _drawn: int = 0

    async def ask(self, ask: Ask[R], secret: SecretField | None = None) -> R:
        """See `Effects.ask`."""
        n = len(self.asks) + 1
        key = AskKey(self.session, self.version, self.command, n, ask.kind)
        result = cast("R", await self.directory.answer(ask, key, self.secrets[secret.name] if secret else None, self.devices))
        self.asks.append(asked(ask, result))
        return result

    def order(self, order: Order) -> None:
        """See `Effects.order`."""
        if lack := lack_of(order, self.session, self.version):
            raise Unfounded(lack)
        self.orders.append(order)

    def new_id(self, purpose: str) -> str:
        """See `Effects.new_id`: an HMAC over the step's key, so that a second run draws the same."""
        self._drawn += 1
        return derived_id(self.secret_key, self.session, self.version, self.command, self._drawn, purpose)

    def now_us(self) -> int:
        """See `Effects.now_us`."""
        return self.at_us


class ReplayDiffers(Exception):
    """A replay asked something else than what was recorded: the code decides differently now."""


@dataclass(slots=True)
class RecordedEffects:
    """The effects of a recorded transition: no adapter, no clock; ids come from the same key."""

    recorded: Sequence[Asked]
    secret_key: bytes
    session: str
    version: int
    command: str
    at_us: int
    asks: list[Asked] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    _drawn: int = 0

    async def ask(self, ask: Ask[R], secret: SecretField | None = None) -> R:
        """The recorded result; `ReplayDiffers` if this is not what was asked."""
        n = len(self.asks)
        if n >= len(self.recorded) or self.recorded[n].ask != ask:
            raise ReplayDiffers(ask.kind)
        self.asks.append(self.recorded[n])
        return cast("R", self.recorded[n].result)

    order = LiveEffects.order
    new_id = LiveEffects.new_id
    now_us = LiveEffects.now_us


@dataclass(frozen=True, slots=True)
class Opened:
    """The parsed body. `raw` are the bytes that the edge sealed, `mark` their MAC (`mark_of`)."""

    body: Any = field(repr=False)
    raw: bytes = field(default=b"", repr=False)
    mark: str = ""


async def opened(opener: SealOpener, step: StepRequested) -> Opened:
    """Open a step's sealed body; `BadSeal` if it cannot be opened, or is not the JSON that the edge sealed."""
    if step.sealed is None:
        return Opened({})
    raw = await opener.open(step.sealed, step.session, step.command)
    try:
        body = json.loads(raw)
    except ValueError:
        raise BadSeal("not what the edge seals") from None
    return Opened(body, raw, await mark_of(opener, step.sealed.epoch, step.session, step.flow, answers(step), raw))


async def mark_of(opener: SealOpener, epoch: str, session: str, flow: str, shown: Shown | None, raw: bytes) -> str:
    """By what this body, sent to this transition of a run, or to the page that began it, is known again; `BadSeal` once the epoch's key is gone.

    Whoever reads the history learns nothing from it, not even that somebody used one password twice: the key is destroyed,
    and what the body was sent to counts.
    """
    place = (shown.run, shown.transition) if shown else ("", "")
    return await opener.mark(epoch, *(text.encode() for text in (session, flow, *place)), raw)


class OpenedOnce:
    """Opens a step's body when it is wanted first."""

    def __init__(self, opener: SealOpener, step: StepRequested) -> None:
        self._opener = opener
        self._step = step
        self._opened: Opened | None = None

    async def __call__(self) -> Opened:
        """What the visitor sent; `BadSeal` if it cannot be opened."""
        if self._opened is None:
            self._opened = await opened(self._opener, self._step)
        return self._opened
