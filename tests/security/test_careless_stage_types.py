"""A stage type that claims, orders or logs in what it must not, out of carelessness: what runs it holds it to its word."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from shared.contracts.orders import LogIn, LogOut
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.sessions import LoggedIn, RunDenied
from shared.flows.effects import Effects
from shared.flows.evidence import Need, Proof
from shared.flows.orders import NEEDS
from shared.flows.registry import registry
from shared.flows.stage import Challenge, Denied, Passed, Run, Stage, StageConfig, StageFailed
from tests.security.proving import BOB, TwoPeople, history_of, named, numbered, walk
from tests.unit.executor.world import ALICE, PASSWORD, World, stage
from tests.unit.flows.stories import LOGIN

NAME, RIGHT = {"uid_field": "alice"}, {"password": "secret"}
RENAMED = "renamed"


def either(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an order of a settings or recovery flow will be: it takes a proof, or the login that the run began with."""
    monkeypatch.setitem(cast("dict[Any, Need]", NEEDS), LogIn, Need.PROOF_OR_LOGIN)


def renamed(people: TwoPeople) -> bool:
    """Whether the careless stage's order on an account was given out to be done."""
    orders = [order for orders in people.performed.values() for order in orders]
    return any(isinstance(order, LogIn) and order.address == RENAMED for order in orders)


class NothingToSet(StageConfig):
    """Nothing to set."""


class Careless(Stage[NothingToSet]):
    """A stage that asks nothing; what it does is given."""

    name = "careless"
    app = "tests"
    model = "carelessstage"
    path = "careless/"
    form = "ak-stage-careless-form"
    verbose_name = "Careless Stage"
    config = NothingToSet

    async def challenge(self, run: Run, config: NothingToSet, do: Effects) -> Challenge | Passed | Denied:
        raise NotImplementedError


class ProvesUndeclared(Careless):
    async def challenge(self, run: Run, config: NothingToSet, do: Effects) -> Challenge | Passed | Denied:
        return Passed("uid-alice", "captcha", proof=Proof("password", ALICE))


class LogsInWithoutAnOrder(Careless):
    async def challenge(self, run: Run, config: NothingToSet, do: Effects) -> Challenge | Passed | Denied:
        return Passed("uid-alice", "login", login=LOGIN)


class Renames(Careless):
    """Orders something harmless, then something that an account takes a proof or a login for (`either`), on whatever grounds the run has."""

    needs = Need.PROOF_OR_LOGIN

    def __init__(self, whom: UserFacts = ALICE) -> None:
        self.whom = whom

    async def challenge(self, run: Run, config: NothingToSet, do: Effects) -> Challenge | Passed | Denied:
        do.order(LogOut(login="another", user=1, at_us=do.now_us()))
        whom = self.whom
        login = LOGIN.model_copy(update={"user": whom.pk or 0, "uid": whom.uid, "epoch": whom.epoch, "at_us": do.now_us()})
        do.order(LogIn(login=login, session=run.session, run=run.run, grounds=run.grounds(whom), address=RENAMED))
        return Passed(run.subject, "renamed")


class OrdersAndFails(Careless):
    async def challenge(self, run: Run, config: NothingToSet, do: Effects) -> Challenge | Passed | Denied:
        do.order(LogOut(login="another", user=1, at_us=do.now_us()))
        raise StageFailed("after all")


def careless_world(kind: Careless, *before: Any, **more: Any) -> tuple[World, TwoPeople]:
    flows: Mapping[str, Any] = {"login": numbered(*before, stage("careless")), **{slug: numbered(*other) for slug, other in more.items()}}
    world = World(flows, types=replace(registry(), stages={**registry().stages, "careless": kind}))
    world.directory = people = TwoPeople()
    return world, people


@pytest.mark.parametrize("kind", [ProvesUndeclared(), LogsInWithoutAnOrder()], ids=lambda kind: type(kind).__name__)
async def test_what_its_type_does_not_say_is_our_defect_and_nothing_comes_of_it(kind: Careless) -> None:
    world, people = careless_world(kind)
    async with world:
        reply = await walk(world.browser())
        assert (reply.outcome, reply.login, people.performed) == ("unavailable", None, {})
        assert await world.history(reply.session) == []


@pytest.mark.parametrize("whom", [ALICE, BOB], ids=lambda user: user.username)
async def test_a_change_of_an_account_needs_a_proof_and_else_nothing_of_the_stage_is_ordered(whom: UserFacts) -> None:
    world, people = careless_world(Renames(whom), named())
    async with world:
        reply = await walk(world.browser(), NAME)
        assert reply.view is not None
        assert (reply.view.kind, people.performed) == ("denied", {})
        assert [one.reason for one in await history_of(world, reply.session) if isinstance(one, RunDenied)] == ["no_evidence"]


async def test_a_stage_that_fails_orders_nothing() -> None:
    world, people = careless_world(OrdersAndFails())
    async with world:
        reply = await walk(world.browser())
        assert reply.view is not None
        assert (reply.view.kind, people.performed) == ("error", {})


@pytest.mark.parametrize(("whom", "done"), [(ALICE, True), (BOB, False)], ids=["alice herself", "bob"])
async def test_a_proof_is_for_the_account_that_it_names(monkeypatch: pytest.MonkeyPatch, whom: UserFacts, done: bool) -> None:
    either(monkeypatch)
    world, people = careless_world(Renames(whom), named(), stage("password", PASSWORD))
    async with world:
        await walk(world.browser(), NAME, RIGHT)
        assert renamed(people) is done


LOGINS: dict[str, tuple[UserFacts, dict[str, Any], bool]] = {
    "their own login": (ALICE, {}, True),
    "somebody else's login": (BOB, {}, False),
    "an account with a new password by now": (ALICE.model_copy(update={"epoch": 1}), {}, False),
    "a number that is somebody else's by now": (ALICE.model_copy(update={"uid": "uid-another"}), {}, False),
    "a login that is over": (ALICE, {"expires_us": 1}, False),
}


@pytest.mark.parametrize(("whom", "changes", "done"), LOGINS.values(), ids=LOGINS)
async def test_the_login_that_a_run_began_with_is_grounds_for_its_own_account(
    monkeypatch: pytest.MonkeyPatch, whom: UserFacts, changes: dict[str, Any], done: bool
) -> None:
    either(monkeypatch)
    first = (named(), stage("password", PASSWORD), stage("user_login"))
    world, people = careless_world(Renames(whom), way_in=first)
    async with world:
        browser = world.browser()
        assert (await walk(browser, NAME, RIGHT, slug="way_in")).login is not None
        browser.login = _changed(browser.login, changes)
        await walk(browser)
        assert renamed(people) is done


async def test_a_login_that_came_after_the_run_began_is_no_grounds(monkeypatch: pytest.MonkeyPatch) -> None:
    either(monkeypatch)
    waived = stage("user_login", {"allow_unauthenticated": True})
    world, people = careless_world(Renames(), named(), waived, stage("dummy"))
    async with world:
        browser = world.browser()
        reply = await walk(browser, NAME)
        assert [one for one in await history_of(world, reply.session) if isinstance(one, LoggedIn)]
        await browser.post({})
        assert not renamed(people)


def _changed(login: LoginClaims | None, changes: dict[str, Any]) -> LoginClaims | None:
    return login and login.model_copy(update=changes)
