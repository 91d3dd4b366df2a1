"""An own transition is folded once, while it is decided, and its state packed once: that is what the log folds to, to the byte."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.executor.sessions import journal, session, transition, worker
from services.executor.sessions.session import MAX_BYTES, evolve, new_session, packed, too_large
from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.states import RunState, SessionState
from shared.kernel.ids import partition_of
from shared.messaging.log import TopicPartition
from tests.unit.executor.world import ALICE, LOGIN_STAGES, PASSWORD, Browser, World, stage

FLOWS: dict[str, Any] = {
    "login": LOGIN_STAGES,
    "guarded": (stage("dummy", guarded=True), stage("identification", {"user_fields": ("username",)}), stage("password", PASSWORD)),
    "again": (
        stage("identification", {"user_fields": ("username",)}, action="restart_with_context"),
        stage("password", PASSWORD, action="restart"),
    ),
    "leave": (stage("dummy"), stage("user_logout"), stage("dummy")),
    "denied": (stage("dummy"), stage("deny", action="restart")),
    "waived": (
        stage("identification", {"user_fields": ("username",)}),
        stage("user_login", {"allow_unauthenticated": True}),
        stage("dummy"),
    ),
}
WORDS = ("alice", "nobody", "")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("get", "post", "post", "post", "page", "cancel", "later", "tab")), st.sampled_from(tuple(FLOWS)),
        st.sampled_from(WORDS), st.sampled_from(("secret", "wrong")),
    ), min_size=1, max_size=25,
)  # fmt: skip


async def walk(browser: Browser, steps: list[tuple[str, str, str, str]]) -> None:
    """A visitor who does these things, whatever comes of them."""
    for what, slug, name, password in steps:
        match what:
            case "get":
                await browser.get(slug)
            case "page":
                browser.api = not browser.api
            case "cancel":
                await browser.step("cancel", slug, None)
            case "later":
                browser.world.clock.advance(400)
            case "tab":
                browser.shown.clear()
            case _:
                await browser.post({"uid_field": name, "password": password}, slug)


async def folds(world: World, known: str) -> tuple[bytes, bytes]:
    """What the session's history folds to, and what its owner holds of it."""
    state, accepted = new_session(known), AcceptedTransitions()
    for received in await world.history(known):
        if accepted.accepts(received.envelope):
            state = evolve(state, received.envelope, received.body)
    owner = world.workers[0].partitions.owners[partition_of(known)]
    return packed(state), owner.states.packed(known)


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_a_visitor_does_the_log_folds_to_what_its_owner_holds(steps: list[tuple[str, str, str, str]]) -> None:
    async def all_of_it() -> None:
        async with World(FLOWS) as world:
            world.policy.verdicts["b-dummy"] = "pass"
            browser = world.browser()
            await walk(browser, steps)
            for known in {received.envelope.subject for received in await everything(world)}:
                folded, held = await folds(world, known)
                assert folded == held

    asyncio.run(all_of_it())


async def everything(world: World) -> list[Any]:
    place = TopicPartition(topics.SESSIONS, 3)
    keys = [record.key or b"" async for batch in world.log.read(place, *await world.log.bounds(place)) for record in batch]
    return [one for key in set(keys) for one in await world.history(key.decode())]


async def test_a_transition_of_ours_is_folded_once_and_its_state_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    def counting(name: str, function: Any) -> Any:
        def through(*given: Any) -> Any:
            seen[name] += 1
            return function(*given)

        return through

    monkeypatch.setattr(session, "apply", counting("applied while folding", session.apply))
    for module in (journal, transition):
        monkeypatch.setattr(module, "packed", counting("packed", packed))
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        await browser.post({"password": "secret"})
        assert browser.login is not None
        transitions = len(await world.history(browser.session))
    assert seen == {"packed": transitions}  # the decision applied the events, through its own name of `apply`


@pytest.mark.parametrize(("context", "large"), [(MAX_BYTES // 2, False), (MAX_BYTES, True)])
def test_what_is_known_of_a_pending_user_does_not_count_in_the_size_of_a_session(context: int, large: bool) -> None:
    known = ALICE.model_copy(update={"attributes": {"notes": "n" * MAX_BYTES}})
    bare = RunState.model_validate({"run": "r", "flow": "f", "plan": None, "visitor": {}, "context": {"typed": "x" * context}})
    for user in (None, ALICE, known):
        state = SessionState(session="03.s", runs=(bare.model_copy(update={"pending_user": user}),))
        assert too_large(state, len(packed(state))) is large


async def test_a_session_that_goes_on_several_times_between_two_ticks_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "COMMIT_S", 3600.0)
    place = TopicPartition(topics.STATE, 3)
    async with World() as world:
        browser = world.browser()
        await browser.get()
        for body in ({"uid_field": "alice"}, {"password": "wrong"}, {"password": "secret"}):
            await browser.post(body)
        assert browser.login is not None
        assert await world.log.bounds(place) == (0, 0)
        owner = world.workers[0].partitions.owners[3]
        assert owner.journal.known == 3
        for _ in range(2):
            owner.written_states.write()
            async with asyncio.timeout(60):
                await owner.written_states.written()
            assert (await world.log.bounds(place))[1] == 1
        (record,) = [record async for batch in world.log.read(place, 0, 1) for record in batch]
        assert record.value == owner.states.packed(browser.session)
        assert world.workers[0].mark(TopicPartition(topics.SESSIONS, 3)) == 3


async def test_what_is_not_written_when_its_owner_goes_the_next_one_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "COMMIT_S", 3600.0)
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        (old,) = world.workers
        held = old.partitions.owners[3].states.packed(browser.session)
        monkeypatch.setattr(old, "_write_states", lambda: None)  # as one that is killed
        await old.stop()
        world.workers.clear()
        await world.add_worker()
        assert (await browser.post({"password": "secret"})).login is not None
        folded, _ = await folds(world, browser.session)
        assert folded != held and (await world.log.bounds(TopicPartition(topics.STATE, 3)))[1] == 0
