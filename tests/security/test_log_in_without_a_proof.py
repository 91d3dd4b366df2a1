"""Getting logged in where nothing was proved: a name alone, a proof that was skipped, is missing, somebody else's, or gone."""

from collections.abc import Sequence
from typing import Any

import pytest

from services.executor.sessions.worker import Worker
from shared.contracts.planner import PlannedStage
from shared.contracts.sessions import LoggedIn, RunDenied, StagePassed
from shared.contracts.steps import StepReplied
from shared.flows.evidence import FRESH_US
from tests.security.proving import TwoPeople, history_of, in_world, named, named_with_password, walk
from tests.unit.executor.world import ALICE, PASSWORD, World, stage

LOGIN = stage("user_login")
ASKING_LOGIN = stage("user_login", {"session_duration": "hours=1", "remember_me_offset": "hours=2"})
UNPROVED_LOGIN = stage("user_login", {"allow_unauthenticated": True})
SECRET = stage("password", PASSWORD)
NAME, BOBS_NAME = {"uid_field": "alice"}, {"uid_field": "bob"}
RIGHT, BOBS = {"password": "secret"}, {"password": "bobs secret"}
BOTH = {**NAME, **RIGHT}


async def turned_away(world: World, people: TwoPeople, reply: StepReplied, reason: str = "no_evidence") -> None:
    """Nobody was logged in, nothing was ordered, and the history says why."""
    events = await history_of(world, reply.session)
    assert people.let_in == []
    assert not [one for one in events if isinstance(one, LoggedIn)]
    assert reply.login is None
    assert reply.view is not None
    assert reply.view.kind == "denied"
    assert [one.reason for one in events if isinstance(one, RunDenied)][-1:] == [reason]


Flow = tuple[Sequence[PlannedStage], Sequence[dict[str, Any]]]
UNPROVED: dict[str, Flow] = {
    "a name alone": ((named(), LOGIN), (NAME,)),
    "the superuser's name alone": ((named(), LOGIN), (BOBS_NAME,)),
    "a name that nobody has": ((named(), LOGIN), ({"uid_field": "nobody"},)),
    "the password comes after the login": ((named(), LOGIN, SECRET), (NAME,)),
    "a login that asks something first": ((named(), ASKING_LOGIN), (NAME,)),
    "a stage that shows its name": ((named(), stage("dummy"), LOGIN), (NAME, {})),
    "a second factor that nobody has set up": ((named(), stage("authenticator_validate"), LOGIN), (NAME,)),
    "an answer with a password that no stage asks for": ((named(), LOGIN), ({**NAME, **RIGHT},)),
    "alice's proof, then bob's name": ((named(), SECRET, named(), LOGIN), (NAME, RIGHT, BOBS_NAME)),
    "alice's proof on the page, then bob's name": ((named_with_password(), named(), LOGIN), (BOTH, BOBS_NAME)),
    "alice's proof, then a name that nobody has": ((named(), SECRET, named(), LOGIN), (NAME, RIGHT, {"uid_field": "nobody"})),
    "alice's proof, bob's name, alice's again": (
        (named(), SECRET, named(), named(), LOGIN),
        (NAME, RIGHT, BOBS_NAME, NAME),
    ),
    "bob's wrong password on a second page": (
        (named(), SECRET, stage("dummy"), named(), LOGIN),
        (NAME, RIGHT, {}, BOBS_NAME),
    ),
}


@pytest.mark.parametrize(("stages", "answers"), UNPROVED.values(), ids=UNPROVED)
async def test_a_flow_without_a_proof_for_its_user_logs_in_nobody(
    stages: Sequence[PlannedStage], answers: Sequence[dict[str, Any]]
) -> None:
    world, people = in_world(*stages)
    async with world:
        await turned_away(world, people, await walk(world.browser(), *answers))


PROVED: dict[str, tuple[Sequence[PlannedStage], Sequence[dict[str, Any]], str]] = {
    "a password": ((named(), SECRET, LOGIN), (NAME, RIGHT), "alice"),
    "a password on the page": ((named_with_password(), LOGIN), (BOTH,), "alice"),
    "a password, then the same name again": ((named(), SECRET, named(), LOGIN), (NAME, RIGHT, NAME), "alice"),
    "two people, and the second proves it": ((named(), SECRET, named(), SECRET, LOGIN), (NAME, RIGHT, BOBS_NAME, BOBS), "bob"),
    "a log-out by nobody in between": ((named(), SECRET, stage("user_logout"), LOGIN), (NAME, RIGHT), "alice"),
}


@pytest.mark.parametrize(("stages", "answers", "who"), PROVED.values(), ids=PROVED)
async def test_who_proved_it_is_logged_in_as_themselves(
    stages: Sequence[PlannedStage], answers: Sequence[dict[str, Any]], who: str
) -> None:
    world, people = in_world(*stages)
    async with world:
        reply = await walk(world.browser(), *answers)
        assert reply.login is not None
        assert (people.let_in, reply.login.username, reply.login.methods) == ([who], who, ("password",))
        (passed, *_) = [one for one in await history_of(world, reply.session) if isinstance(one, StagePassed) and one.evidence.proves]
        assert (passed.evidence.session, passed.evidence.proves, passed.evidence.subject) == (reply.session, "password", "uid-alice")


async def test_a_password_stage_that_policy_skips_proves_nothing() -> None:
    world, people = in_world(named(), stage("password", PASSWORD, guarded=True), LOGIN)
    async with world:
        world.policy.verdicts["b-password"] = "fail"
        await turned_away(world, people, await walk(world.browser(), NAME))


async def test_a_wrong_password_on_a_second_page_takes_the_first_ones_proof() -> None:
    world, people = in_world(named(), SECRET, named_with_password(), LOGIN)
    async with world:
        reply = await walk(world.browser(), NAME, RIGHT, {**BOBS_NAME, "password": "guess"})
        assert reply.view is not None
        assert reply.view.component == "ak-stage-identification"
        assert people.let_in == []


async def test_a_proof_of_one_run_is_worth_nothing_in_another() -> None:
    world, people = in_world(named(), SECRET, stage("dummy"), LOGIN, name=(named(), LOGIN))
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        await turned_away(world, people, await walk(browser, NAME, slug="name"))


async def test_the_login_that_a_run_began_with_does_not_renew_itself() -> None:
    world, people = in_world(named(), SECRET, LOGIN, name=(named(), LOGIN))
    async with world:
        browser = world.browser()
        first = await walk(browser, NAME, RIGHT)
        assert first.login is not None
        reply = await walk(browser, NAME, slug="name")
        assert (people.let_in, reply.login) == (["alice"], None)


@pytest.mark.parametrize("action", ["restart", "restart_with_context"])
async def test_a_run_that_starts_over_in_a_flow_without_a_password_by_now(action: str) -> None:
    last = stage("password", PASSWORD, action=action)
    world, people = in_world(named(), SECRET, last, LOGIN)
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        world.planner.flows = {"login": (named(), LOGIN)}
        await browser.post({"password": "wrong"})
        reply = await browser.post(BOBS_NAME)
        await turned_away(world, people, reply)


async def test_a_restart_without_context_forgets_the_proof_and_one_with_it_does_not() -> None:
    for action, let_in in (("restart", []), ("restart_with_context", ["alice"])):
        world, people = in_world(named(), SECRET, stage("password", PASSWORD, action=action), LOGIN)
        async with world:
            browser = world.browser()
            await walk(browser, NAME, RIGHT)
            world.planner.flows = {"login": (named(), LOGIN)}
            await browser.post({"password": "wrong"})
            await browser.post(NAME)
            assert people.let_in == let_in


async def test_a_log_out_in_between_takes_the_proof_along() -> None:
    world, people = in_world(named(), SECRET, LOGIN, out=(named(), SECRET, stage("user_logout"), named(), LOGIN))
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        reply = await walk(browser, NAME, RIGHT, NAME, slug="out")
        assert people.let_in == ["alice"]
        assert (reply.login, browser.login) == (None, None)


CHANGES: dict[str, dict[str, Any]] = {
    "a new password": {"epoch": 1},
    "the number was given to somebody else": {"uid": "uid-another"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
async def test_a_proof_from_before_the_account_changed_is_worth_nothing(changes: dict[str, Any]) -> None:
    world, people = in_world(named(), SECRET, named(), LOGIN)
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        people.people["alice"] = ALICE.model_copy(update=changes)
        await turned_away(world, people, await browser.post(NAME))


async def test_who_was_disabled_after_the_proof_is_denied() -> None:
    world, people = in_world(named(), SECRET, named(), LOGIN)
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        people.people["alice"] = ALICE.model_copy(update={"is_active": False})
        await turned_away(world, people, await browser.post(NAME), "denied")


async def test_a_proof_is_good_for_an_hour() -> None:
    for seconds, let_in in ((-1, ["alice"]), (0, [])):
        world, people = in_world(named(), SECRET, ASKING_LOGIN)
        async with world:
            browser = world.browser()
            await walk(browser, NAME, RIGHT)
            world.clock.advance(FRESH_US / 1e6 + seconds)
            reply = await browser.post({"remember_me": True})
            assert people.let_in == let_in
            if not let_in:
                await turned_away(world, people, reply, "evidence_too_old")


async def test_an_administrator_may_waive_the_proof_knowingly() -> None:
    world, people = in_world(named(), UNPROVED_LOGIN)
    async with world:
        reply = await walk(world.browser(), BOBS_NAME)
        assert reply.login is not None
        assert (people.let_in, reply.login.username, reply.login.methods) == (["bob"], "bob", ())


async def test_an_order_that_a_record_holds_without_grounds_is_not_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.flows.stage.lacking", lambda *_: "")
    monkeypatch.setattr("services.executor.sessions.effects.LiveEffects.order", _careless)
    world, _ = in_world(named(), LOGIN)
    async with world:
        reply = await walk(world.browser(), NAME)
        assert reply.login is None
        events = await history_of(world, reply.session)
        assert [one.reason for one in events if isinstance(one, RunDenied)] == ["no_evidence"]


def _careless(effects: Any, order: Any) -> None:
    effects.orders.append(order)


async def test_another_worker_that_takes_over_keeps_the_proof_and_nothing_else_makes_one() -> None:
    world, people = in_world(named(), SECRET, ASKING_LOGIN)
    async with world:
        browser = world.browser()
        await walk(browser, NAME, RIGHT)
        (old,) = world.workers
        await old.stop()
        world.workers.clear()
        successor: Worker = await world.add_worker()
        assert successor is not old
        assert (await browser.post({"remember_me": False})).login is not None
        assert people.let_in == ["alice"]
