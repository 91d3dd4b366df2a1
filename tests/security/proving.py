"""A directory of two people for attacks on who a run is about: it judges orders as the real one does, and remembers them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.executor.common.ports import AskKey, OrderKey
from shared.contracts import asks
from shared.contracts.asks import Ask
from shared.contracts.definitions import StageBody
from shared.contracts.model import Value
from shared.contracts.orders import LogIn, Order, OrderResult
from shared.contracts.people import UserFacts
from shared.contracts.planner import PlannedStage
from shared.contracts.steps import StepReplied
from shared.flows.orders import lack_of
from tests.unit.executor.world import ALICE, PASSWORD, Browser, FakeDirectory, World, stage

BOB = ALICE.model_copy(update={"pk": 8, "uuid": "8", "uid": "uid-bob", "username": "bob", "is_superuser": True})
PASSWORDS = {7: "secret", 8: "bobs secret"}


@dataclass
class TwoPeople(FakeDirectory):
    """Alice (`secret`) and the superuser bob (`bobs secret`); `people` may be changed between steps."""

    people: dict[str, UserFacts] = field(default_factory=lambda: {"alice": ALICE, "bob": BOB})

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        match ask:
            case asks.FindUser():
                return asks.UserFound(user=self.people.get(ask.value), identifier=ask.value)
            case asks.GetUser():
                return asks.UserFound(user=self._by_pk(ask.user), identifier="")
            case asks.VerifyPassword():
                user = self._by_pk(ask.user)
                if user is None or PASSWORDS[user.pk or 0] != secret:
                    return asks.PasswordVerified(outcome="wrong")
                return asks.PasswordVerified(outcome="ok", user=user, backend="inbuilt", method="password")
            case _:
                return asks.DevicesListed(devices=())

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        self.performed.setdefault(key, list(orders))
        lacks = [lack_of(order, key.session, key.version) for order in orders]
        return [OrderResult(n=n, done=not lack, reason=lack) for n, lack in enumerate(lacks, 1)]

    def _by_pk(self, pk: int | None) -> UserFacts | None:
        return next((one for one in self.people.values() if one.pk == pk), None)

    @property
    def let_in(self) -> list[str]:
        """Who was logged in by the orders that were carried out."""
        orders = (order for performed in self.performed.values() for order in performed)
        return [order.login.username for order in orders if isinstance(order, LogIn)]


def numbered(*stages: PlannedStage) -> tuple[PlannedStage, ...]:
    """The stages of one flow, each with a binding of its own."""
    return tuple(one.model_copy(update={"binding": f"b{n}-{one.type}"}) for n, one in enumerate(stages))


def named(config: dict[str, Any] | None = None) -> PlannedStage:
    """An identification stage."""
    return stage("identification", {"user_fields": ("username",), **(config or {})})


def named_with_password() -> PlannedStage:
    """An identification stage that asks for the password on its page."""
    inside = StageBody(pk="p", name="p", type="password", config=PASSWORD)
    return named({"password_stage": "p"}).model_copy(update={"references": {"p": inside}})


def in_world(*stages: PlannedStage, **more: Sequence[PlannedStage]) -> tuple[World, TwoPeople]:
    """A world whose flow `login` has these stages, and its directory."""
    flows = {"login": numbered(*stages), **{slug: numbered(*other) for slug, other in more.items()}}
    world = World(flows)
    world.directory = people = TwoPeople()
    return world, people


async def walk(browser: Browser, *answers: dict[str, Any], slug: str = "login") -> StepReplied:
    """Start the flow and give these answers, one after the other."""
    reply = await browser.get(slug)
    for answer in answers:
        reply = await browser.post(answer, slug)
    return reply


async def history_of(world: World, session: str) -> list[Any]:
    """All events of a session, in order."""
    return [event for received in await world.history(session) for event in received.body.events]
