"""A start writes nothing: the first answer decides start and answer in one transition, whatever was kept of the start (architecture §3)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import OPEN_RUNS, evolve, new_session
from services.executor.sessions.starts import MAX_AGE_US, Starts
from shared.contracts import asks, topics, wire
from shared.contracts.people import LoginClaims
from shared.contracts.planner import PlannedStage, PlanRefused
from shared.contracts.sessions import RunStarted
from shared.contracts.steps import StepReplied
from shared.flows.effects import Effects
from shared.flows.evidence import Proof, ProofKind
from shared.flows.registry import Registry, registry
from shared.flows.stage import Challenge, Denied, Passed, Run, Stage, StageConfig
from shared.kernel.ids import partition_of
from shared.messaging.log import TopicPartition
from tests.unit.executor.test_steps import events, log_in
from tests.unit.executor.world import ALICE, LOGIN_STAGES, SECRET, Browser, World, flow, stage

CACHES = pytest.mark.parametrize("cached", [0, 100], ids=["nothing kept", "kept"])


def world_of(flows: dict[str, Sequence[PlannedStage]] | None = None, cached: int = 100, types: Registry | None = None) -> World:
    world = World(flows, types=types)
    world.cached_starts = cached
    return world


async def records(world: World, session: str, *names: str) -> int:
    found = 0
    for name in names:
        place = TopicPartition(name, partition_of(session))
        async for batch in world.log.read(place, *await world.log.bounds(place)):
            found += sum((record.key or b"").startswith(session.encode()) for record in batch)
    return found


async def written(world: World, reply: StepReplied) -> int:
    return await records(world, reply.session, topics.SESSIONS, topics.STATE)


@CACHES
async def test_a_start_writes_nothing_and_its_first_answer_writes_both_in_one_transition(cached: int) -> None:
    async with world_of(cached=cached) as world:
        browser = world.browser()
        first = [await browser.get() for _ in range(3)][-1]
        assert (first.outcome, first.begun, first.transition) == ("offered", False, None)
        assert await written(world, first) == 0
        reply = await browser.post({"uid_field": "alice"})
        assert (reply.outcome, reply.run, reply.version, reply.begun) == ("accepted", first.run, 1, True)
        assert events(await world.history(reply.session)) == [
            "session.started", "run.started", "stage.challenged", "stage.passed", "stage.challenged",
        ]  # fmt: skip
        assert len(world.planner.asked) == (3 if cached else 4)


@CACHES
async def test_what_is_written_is_the_same_with_and_without_what_was_kept(cached: int) -> None:
    async with world_of({"f": (stage("dummy", guarded=True), stage("dummy"))}, cached) as world:
        browser = world.browser()
        first = await browser.get("f")
        await browser.post({}, "f")
        state = new_session(browser.session)
        for received in await world.history(browser.session):
            again = await decided_again(state, received.body, registry(), SECRET)
            assert wire.pack(again.model_dump()) == wire.pack(received.body.model_dump())
            state = evolve(state, received.envelope, received.body)
        assert len(world.policy.asked) == (1 if cached else 2)
        # The question that begins a run is the same one each time, so what policy draws by it is the same.
        assert len({asked.request for asked in world.policy.asked}) == 1
        assert len({asked.request for asked in world.planner.asked}) == 1
        assert state.began == (first.run,)


async def test_the_run_tells_where_from_and_when_its_page_was_asked_for_and_the_answer_where_from_that_came() -> None:
    async with world_of() as world:
        browser = world.browser()
        asked_us = world.clock.now_us()
        await browser.get(address="198.51.100.7", user_agent="Here/1")
        page = browser.pages["login"].model_copy(update={"address": "198.51.100.7", "user_agent": "Here/1"})
        world.clock.advance(40)
        reply = await browser.post({"uid_field": "alice"}, page=page, address="203.0.113.9", user_agent="There/2")
        [received] = await world.history(reply.session)
        started = next(event for event in received.body.events if isinstance(event, RunStarted))
        assert (started.visitor.address, started.visitor.user_agent, started.asked_us) == ("198.51.100.7", "Here/1", asked_us)
        given = received.body.given
        assert (given.address, given.user_agent, received.body.at_us) == ("203.0.113.9", "There/2", asked_us + 40_000_000)


@CACHES
async def test_an_answer_of_the_wrong_shape_writes_nothing(cached: int) -> None:
    async with world_of(cached=cached) as world:
        browser = world.browser()
        first = await browser.get()
        bodies: list[Any] = [{}, {"uid_field": None}, {"uid_field": ["a"]}, [], {"uid_field": ""}]
        for body in bodies:
            reply = await browser.post(body)
            assert (reply.outcome, reply.run) == ("offered", first.run)
            assert reply.view and reply.view.errors
        assert await written(world, first) == 0
        assert (await browser.post({"uid_field": "alice"})).run == first.run
        # The password stage counts such answers, so there they are written.
        refused = await browser.post({})
        assert refused.outcome == "accepted" and await records(world, first.session, topics.SESSIONS) == 2


async def test_an_answer_of_the_wrong_shape_to_a_run_that_has_begun_leaves_it_where_it_is() -> None:
    remember = stage("user_login", {"remember_me_offset": "days=30"})
    async with world_of({"login": (*LOGIN_STAGES[:2], remember)}) as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        shown = await browser.post({"password": "secret"})
        before = len(await world.history(browser.session))
        refused = await browser.post({"remember_me": "perhaps"})
        assert (refused.outcome, refused.transition) == ("current", shown.transition)
        assert refused.view and refused.view.errors["remember_me"]
        assert len(await world.history(browser.session)) == before
        assert (await browser.post({"remember_me": True})).login


# --- what a start may not leave unwritten ---


class NothingConfig(StageConfig):
    """Nothing to set."""


class AtOnce(Stage[NothingConfig]):
    """Base of stages that do something when they are reached, without asking."""

    app = "tests"
    model = "atoncestage"
    path = "at_once/"
    form = "f"
    verbose_name = "At Once Stage"
    config = NothingConfig


class Asks(AtOnce):
    name = "asks"

    async def challenge(self, run: Run, config: NothingConfig, do: Effects) -> Challenge | Passed | Denied:
        await do.ask(asks.VerifyPassword(user=None, identifier="x", backends=(), address=""))
        return Challenge("c")


class Proves(AtOnce):
    name = "proves"
    proves: ClassVar[frozenset[ProofKind]] = frozenset({"certificate"})

    async def challenge(self, run: Run, config: NothingConfig, do: Effects) -> Challenge | Passed | Denied:
        return Passed(ALICE.uid, "certificate", pending_user=ALICE, proof=Proof("certificate", ALICE))


class Counts(AtOnce):
    name = "counts"

    async def challenge(self, run: Run, config: NothingConfig, do: Effects) -> Challenge | Passed | Denied:
        return Passed("anonymous", "counts", counters={"n": 1})


TYPES = Registry({**registry().stages, **{one.name: one for one in (Asks(), Proves(), Counts())}}, registry().policies)


@pytest.mark.parametrize("kind", ["asks", "proves", "counts"])
async def test_a_start_that_asks_with_effect_proves_or_counts_is_written_at_once(kind: str) -> None:
    async with world_of({"f": (stage(kind), stage("dummy"))}, types=TYPES) as world:
        browser = world.browser()
        reply = await browser.get("f")
        assert (reply.outcome, reply.version) == ("accepted", 1)
        assert reply.rotated == (kind == "proves")
        assert (await browser.get("f")).run == reply.run


async def test_so_is_one_that_orders_and_one_that_ends_for_somebody() -> None:
    async with world_of({"login": LOGIN_STAGES, "out": (stage("user_logout"),), "no": (stage("deny"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        denied = await browser.get("no")
        assert denied.outcome == "accepted" and denied.view and denied.view.kind == "denied"
        left = await browser.get("out")
        assert left.outcome == "accepted" and left.logged_out


@pytest.mark.parametrize("slug", ["out", "no", "empty"])
async def test_one_that_ends_for_nobody_is_not(slug: str) -> None:
    async with world_of({"out": (stage("user_logout"),), "no": (stage("deny"),)}) as world:
        ids = {"request": "", "session": "", "run": "", "digest": ""}
        world.planner.refusals["empty"] = PlanRefused.model_validate({**ids, "reason": "empty", "flow": flow("empty").model_dump()})
        reply = await world.browser().get(slug)
        assert reply.outcome == "offered" and reply.view and reply.view.kind in ("redirect", "denied")
        assert await written(world, reply) == 0


# --- what was kept counts only for the same question ---


async def test_for_a_visitor_who_is_somebody_by_now_it_is_planned_anew_and_their_answer_counts_if_it_asks_the_same() -> None:
    async with world_of({"login": LOGIN_STAGES, "f": (stage("dummy"),)}) as world:
        world.planner.designations["f"] = "stage_configuration"
        browser = world.browser()
        first = await browser.get("f")
        await log_in(browser)
        asked = len(world.planner.asked)
        reply = await browser.post({}, "f")
        assert (reply.outcome, reply.run, reply.advanced) == ("accepted", first.run, True)
        assert len(world.planner.asked) == asked + 1 and world.planner.asked[-1].visitor.user == ALICE


@pytest.mark.parametrize("by_now", ["another", "nobody"])
async def test_what_was_drawn_for_somebody_is_delivered_by_nobody_else(by_now: str) -> None:
    async with world_of({"login": LOGIN_STAGES, "f": (stage("dummy"),)}) as world:
        world.planner.designations["f"] = "stage_configuration"
        browser = world.browser()
        await log_in(browser)
        await browser.get("f")
        assert browser.login
        other = LoginClaims.model_validate({**browser.login.model_dump(), "login": "another"})
        login = other if by_now == "another" else None
        reply = await browser.post({}, "f", login=login)
        assert (reply.outcome, reply.advanced) == ("offered", False)
        assert (await browser.post({}, "f", login=login)).advanced


async def test_what_a_guard_said_meanwhile_in_another_tab_is_planned_for() -> None:
    async with world_of({"f": (stage("dummy"),), "guarded": (stage("dummy", guarded=True), stage("dummy"))}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({}, "guarded")
        await browser.post({}, "f")
        assert [asked.flow for asked in world.planner.asked] == ["f", "guarded", "f"]
        assert world.planner.asked[-1].obligations == ("b-dummy",)


async def test_a_flow_that_was_taken_back_meanwhile_is_planned_anew() -> None:
    async with world_of({"f": (stage("dummy"), stage("dummy"))}) as world:
        browser = world.browser()
        await browser.get("f")
        asked = len(world.planner.asked)
        world.retirements.flows.add("f")
        await browser.post({}, "f")
        assert len(world.planner.asked) == asked + 1


async def test_a_challenge_that_is_another_by_now_is_shown_and_nothing_is_delivered() -> None:
    async with world_of({"f": (stage("dummy"), stage("deny"))}, cached=0) as world:
        browser = world.browser()
        first = await browser.get("f")
        world.planner.flows = {"f": (stage("dummy").model_copy(update={"name": "changed"}), stage("deny"))}
        reply = await browser.post({}, "f")
        assert (reply.outcome, reply.run) == ("offered", first.run)
        assert reply.view and reply.view.fields["name"] == "changed"
        denied = await browser.post({}, "f")
        assert denied.outcome == "accepted" and denied.view and denied.view.kind == "denied"


def test_under_a_flood_the_oldest_go_first_and_none_is_kept_for_ever() -> None:
    starts, refused = Starts(3), PlanRefused(request="", session="", run="", digest="d", reason="empty")
    for n in range(5):
        starts.keep("s", str(n), {"d": refused}, n)
    assert [bool(starts.of("s", str(n), 5)) for n in range(5)] == [False, False, True, True, True]
    assert not starts.of("s", "4", 5 + MAX_AGE_US)
    assert not starts.of("another", "4", 5)
    starts.drop("s", "4")
    assert not starts.of("s", "4", 5)


# --- tabs: every page is its own run ---


async def tabs(world: World, count: int, slug: str = "login") -> list[Browser]:
    """Tabs of one browser, all opened before one was answered; they share its cookies, each has its own page."""
    first = world.browser()
    first.api = False
    made = []
    for _ in range(count):
        await first.get(slug)
        made.append(first.twin())
    return made


async def test_each_page_is_its_own_run_in_one_session() -> None:
    async with world_of() as world:
        pages = await tabs(world, 5)
        replies = [await tab.post({"uid_field": name}) for tab, name in zip(pages, ["alice", "bob", "carl", "dora", "alice"], strict=True)]
        assert len({reply.run for reply in replies}) == 5 and len({reply.session for reply in replies}) == 1
        assert [reply.view.person for reply in replies if reply.view] == ["alice", "bob", "carl", "dora", "alice"]


async def test_the_ninth_open_run_ends_the_one_that_was_left_alone_longest_and_that_tab_begins_anew() -> None:
    async with world_of() as world:
        pages = await tabs(world, OPEN_RUNS + 1)
        for tab in pages[:OPEN_RUNS]:
            await tab.post({"uid_field": "alice"})
        await pages[0].post({"password": "wrong"})  # so it is the second that was left alone longest
        before = events(await world.history(pages[0].session)).count("run.cancelled")
        await pages[-1].post({"uid_field": "alice"})
        state = world.workers[0].partitions.owners[3].states.get(pages[0].session)
        gone = [run.run for run in state.runs if run.over == "cancelled"]
        assert (before, gone) == (0, [pages[1].shown["login"].run])
        assert sum(not run.over for run in state.runs) == OPEN_RUNS
        again = await pages[1].post({"password": "secret"})
        assert (again.outcome, again.login) == ("offered", None)
        assert again.view and again.view.component == "ak-stage-identification"
        assert (await pages[0].post({"password": "secret"})).login


async def test_a_tab_whose_visitor_has_logged_in_elsewhere_goes_to_its_target() -> None:
    async with world_of() as world:
        unanswered, half_way, first = await tabs(world, 3)
        await half_way.post({"uid_field": "alice"})
        await first.post({"uid_field": "alice"})
        done = await first.post({"password": "secret"})
        assert done.login
        for tab, body, target in ((unanswered, {"uid_field": "alice"}, "/two"), (half_way, {"password": "wrong"}, "/three")):
            tab.login, tab.rotation = done.login, done.rotation
            reply = await tab.post(body, query=f"next={target}")
            assert reply.login is None and reply.view
            assert (reply.view.kind, reply.view.to) == ("redirect", target)
        assert len([ask for _, ask in world.directory.asked if ask.kind == "directory.password.verify"]) == 1


async def test_a_tab_of_somebody_else_goes_on_for_them() -> None:
    async with world_of() as world:
        bobs, first = await tabs(world, 2)
        await bobs.post({"uid_field": "bob"})
        await first.post({"uid_field": "alice"})
        done = await first.post({"password": "secret"})
        bobs.login, bobs.rotation = done.login, done.rotation
        reply = await bobs.post({"password": "wrong"}, query="next=/bobs")
        assert reply.login is None and reply.view
        assert (reply.view.kind, reply.view.person) == ("challenge", "bob")
        assert reply.view.errors
        assert len([ask for _, ask in world.directory.asked if ask.kind == "directory.password.verify"]) == 2


async def test_it_does_too_on_a_reload() -> None:
    async with world_of() as world:
        half_way, first = await tabs(world, 2)
        await half_way.post({"uid_field": "alice"})
        await first.post({"uid_field": "alice"})
        done = await first.post({"password": "secret"})
        half_way.login, half_way.rotation = done.login, done.rotation
        named = half_way.shown.pop("login").run
        reply = await half_way.get(named=named, query="next=/three")
        assert reply.view and (reply.view.kind, reply.view.to) == ("redirect", "/three")


async def test_a_page_whose_run_has_begun_gets_its_state_and_begins_no_other() -> None:
    async with world_of() as world:
        [tab] = await tabs(world, 1)
        page = tab.pages["login"]
        begun = await tab.post({"uid_field": "alice"})
        late = await tab.post({"uid_field": "bob"}, shown=None, page=page)
        assert (late.outcome, late.run) == ("current", begun.run)
        assert late.view and late.view.person == "alice"
        world.clock.advance(31)
        await tab.step("cancel", "login", None)
        fresh = await tab.post({"uid_field": "bob"}, shown=None, page=page)
        assert fresh.outcome == "offered" and fresh.run != begun.run


async def test_the_api_without_a_name_means_its_own_last_run_and_no_pages() -> None:
    async with world_of() as world:
        [page] = await tabs(world, 1)
        await page.post({"uid_field": "alice"})
        client = page.twin()
        client.api, client.shown, client.pages = True, {}, {}
        assert (await client.get()).outcome == "offered"
        begun = await client.post({"uid_field": "bob"})
        assert begun.run != page.shown["login"].run
        client.shown, client.pages = {}, {}
        again = await client.get()
        assert (again.outcome, again.run) == ("current", begun.run)
        refused = await client.post({"password": "wrong"}, shown=None)
        assert refused.run == begun.run and refused.view and refused.view.errors


async def test_a_session_that_nobody_knows_begins_for_an_hour_after_its_cookie_was_made() -> None:
    async with world_of() as world:
        browser = world.browser()
        await browser.get()
        world.clock.advance(3599)
        assert (await browser.twin().step("state", "login", None)).view is None
        late = browser.twin()
        world.clock.advance(2)
        assert (await late.post({"uid_field": "alice"})).session_over
        browser.made_us += 2_000_000
        assert (await browser.post({"uid_field": "alice"})).outcome == "accepted"
