"""Sessions end by age and are let go of, by a sweep that looks at those that are due and opens no other."""

import asyncio

import pytest

from services.executor.sessions import states as states_module
from services.executor.sessions.lifetime import DAY, HOUR, SECOND, expired
from services.executor.sessions.owner import Owner
from services.executor.sessions.session import new_session, packed
from services.executor.sessions.states import SessionStates
from shared.contracts import topics
from shared.contracts.people import Visitor
from shared.contracts.states import RunState, SessionState
from shared.messaging.log import TopicPartition
from tests.unit.executor.test_steps import events, log_in
from tests.unit.executor.world import LOGIN_STAGES, Browser, World, stage


def owner_of(world: World, browser: Browser) -> Owner:
    owners = world.workers[0].partitions.owners.values()
    return next(owner for owner in owners if owner.states.get(browser.session).version)


async def swept(world: World, owner: Owner, session: str) -> SessionState:
    """The session after a sweep; without a version: it is not held any more."""
    await owner.sweep(world.clock.now_us())
    async with asyncio.timeout(60):
        await asyncio.gather(*owner.queues.tasks)  # what the sweep has queued
    return owner.states.get(session)


async def test_a_session_in_which_nobody_proved_anything_lives_half_an_hour_then_ends_and_is_forgotten() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        owner, session = owner_of(world, browser), browser.session
        world.clock.advance(1799)
        assert not (await swept(world, owner, session)).ended
        world.clock.advance(2)
        assert (await swept(world, owner, session)).ended == "expired"
        assert events(await world.history(session))[-2:] == ["run.cancelled", "session.ended"]
        assert (await world.ask(browser.compose("answer", "login", {"password": "secret"}))).session_over
        world.clock.advance(61)
        held = await swept(world, owner, session)
        assert (held.ended, held.runs, held.answered) == ("expired", (), ())
        # As long as one of its cookies could begin it anew.
        world.clock.advance(35 * 60 - 63)
        assert (await swept(world, owner, session)).version
        world.clock.advance(2)
        assert not (await swept(world, owner, session)).version
        assert (await world.ask(browser.compose("answer", "login", {"password": "secret"}))).session_over


async def test_a_half_way_run_of_somebody_lives_a_day() -> None:
    async with World({"login": LOGIN_STAGES, "other": (stage("dummy"), stage("dummy"))}) as world:
        browser = world.browser()
        await log_in(browser)
        await browser.post({}, "other")
        owner, session = owner_of(world, browser), browser.session
        world.clock.advance(24 * 3600 - 1)
        assert not (await swept(world, owner, session)).ended
        world.clock.advance(2)
        assert (await swept(world, owner, session)).ended == "expired"


async def test_a_session_without_an_open_run_lives_an_hour() -> None:
    async with World() as world:
        browser = world.browser()
        await log_in(browser)
        owner, session = owner_of(world, browser), browser.session
        world.clock.advance(3599)
        assert not (await swept(world, owner, session)).ended
        world.clock.advance(2)
        assert (await swept(world, owner, session)).ended == "expired"


async def test_a_session_is_not_forgotten_before_its_orders_are_done() -> None:
    async with World({"login": LOGIN_STAGES, "out": (stage("user_logout"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        owner, session = owner_of(world, browser), browser.session
        world.directory.away_for_orders = 10**6
        leaving = asyncio.create_task(browser.get("out"))
        async with asyncio.timeout(60):
            while not owner.states.get(session).ended:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            world.clock.advance(3901)
            await owner.sweep(world.clock.now_us())
            await asyncio.sleep(0)
            assert owner.states.get(session).ended
            world.directory.away_for_orders = 0
            assert (await leaving).logged_out
            await asyncio.gather(*owner.queues.tasks)
            place = TopicPartition(topics.SESSIONS, owner.partition)
            while world.workers[0].mark(place) != (await world.log.bounds(place))[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not owner.states.get(session).version


async def test_a_sweep_opens_no_session_that_is_not_due(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each costs half a millisecond of the loop: ten thousand abandoned log-ins took the worker longer than its group waits.
    async with World() as world:
        early, late = world.browser(), world.browser()
        await early.post({"uid_field": "alice"})
        world.clock.advance(1000)
        await late.post({"uid_field": "alice"})
        world.clock.advance(801)
        owner, opened, get = owner_of(world, late), [], SessionStates.get

        def noted(states: SessionStates, session: str) -> SessionState:
            opened.append(session)
            return get(states, session)

        monkeypatch.setattr(SessionStates, "get", noted)
        await owner.sweep(world.clock.now_us())
        await asyncio.gather(*owner.queues.tasks)
        assert set(opened) == {early.session}


@pytest.mark.parametrize("rotation", [0, 1])
@pytest.mark.parametrize("over", [(), ("",), ("finished",), ("finished", "")])
@pytest.mark.parametrize("last_us", [SECOND, HOUR, DAY - SECOND, DAY])
@pytest.mark.parametrize("later_us", [0, SECOND, HOUR, HOUR + 1, DAY, DAY + SECOND])
def test_what_is_due_is_what_is_over_by_age(rotation: int, over: tuple[str, ...], last_us: int, later_us: int) -> None:
    runs = tuple(RunState.model_validate({"run": "r", "flow": "f", "plan": None, "visitor": Visitor(), "over": how}) for how in over)
    state = new_session("03.s").model_copy(
        update={"version": 1, "rotation": rotation, "started_us": SECOND, "last_us": last_us, "runs": runs}
    )
    states = SessionStates()
    states.put(state, packed(state))
    assert states.due(last_us + later_us) == [state.session] * expired(state, last_us + later_us)


@pytest.mark.parametrize(("started_s", "ended_s", "until_s"), [(1, 2, 3901), (1, 3300, 3901), (1, 3302, 3902), (1, 80_000, 80_600)])
def test_an_ended_session_is_held_until_none_of_its_cookies_could_begin_it(started_s: int, ended_s: int, until_s: int) -> None:
    states = SessionStates()
    state = SessionState(session="03.s", version=2, started_us=started_s * SECOND, last_us=ended_s * SECOND, ended="logged_out")
    states.put(state, packed(state))
    states.let_go(state, (ended_s + 61) * SECOND)
    assert states.due(until_s * SECOND) == []
    assert states.due(until_s * SECOND + 1) == ["03.s"]
    assert states.get("03.s").ended
    states.let_go(states.get("03.s"), until_s * SECOND + 1)
    assert states.due(10 * DAY) == []
    assert not states.get("03.s").version


def test_of_too_many_ended_sessions_the_oldest_are_forgotten_and_none_of_that_age_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "ENDED", 2)
    states, now = SessionStates(), 100 * SECOND
    for n in range(1, 5):
        ended = SessionState(session=f"03.{n}", version=2, started_us=n * SECOND, last_us=n * SECOND, ended="too_many")
        states.put(ended, packed(ended))
    states.let_go(states.get("03.4"), now)
    assert [n for n in range(1, 5) if states.get(f"03.{n}").version] == [3, 4]
    assert not states.may_begin(2 * SECOND, now)
    assert states.may_begin(2 * SECOND + 1, now)
    assert not states.may_begin(3 * SECOND, 3 * SECOND + HOUR + 1)
