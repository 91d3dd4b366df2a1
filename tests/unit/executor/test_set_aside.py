"""A partition whose log lost records: it alone stops, its visitors are sent elsewhere, and a repair brings it back (architecture §4.15)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.executor.common.ports import Aside
from services.executor.sessions.differing import LOG_LOST
from services.executor.sessions.session import packed
from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.states import writer_of
from shared.contracts.steps import StepReplied
from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_session_id
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import ALICE, Browser, World

STATE = TopicPartition(topics.STATE, 3)
SESSIONS = TopicPartition(topics.SESSIONS, 3)


def partition(world: World, place: TopicPartition = SESSIONS) -> Any:
    log: Any = world.log
    embedded: EmbeddedLog = log if isinstance(log, EmbeddedLog) else log._log
    return embedded._partition(place)


def cut(world: World, count: int, place: TopicPartition = SESSIONS) -> None:
    """The newest records are gone, as after a broker lost its disk's last writes."""
    there = partition(world, place)
    lost = there.records[len(there.records) - count :]
    del there.records[len(there.records) - count :]
    there.next -= count
    assert len(lost) == count


async def written(world: World, count: int) -> None:
    """All is in the log, states too, and that is committed."""
    membership = world.workers[0]._membership
    assert membership
    await until(lambda: partition(world).next >= count)
    async with asyncio.timeout(60):
        while await membership.committed(SESSIONS) != partition(world).next:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def lost(count: int, *, while_running: bool = False) -> AsyncIterator[tuple[World, Browser]]:
    """Somebody has logged in, three transitions; so many of the last ones are gone."""
    async with World(look_s=0.02) as world:
        browser = world.browser()
        await log_in(browser)
        await written(world, 2)
        if while_running:
            cut(world, count)
        else:
            await world.workers.pop().stop()
            cut(world, count)
            await world.add_worker()
        await until(lambda: 3 in world.set_aside.asides)
        yield world, browser


async def refused(browser: Browser, kind: str = "start") -> StepReplied:
    reply = await browser.world.ask(browser.compose(kind, "login", {} if kind == "answer" else None))
    assert (reply.outcome, reply.reason, reply.session_over, reply.retry_after_s) == ("refused", "session_over", True, 30)
    assert reply.view is None
    return reply


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("while_running", [False, True])
async def test_a_lost_tail_sets_its_partition_aside_and_no_other(count: int, while_running: bool) -> None:
    async with lost(count, while_running=while_running) as (world, browser):
        for kind in ("start", "answer", "cancel", "state", "locate"):
            await refused(browser, kind)
        aside = world.set_aside.asides[3]
        assert (aside.offset, aside.bound, aside.reason) == (2, 2 - count, "end" if while_running else "committed")
        assert world.workers[0].set_aside() == [aside] and world.workers[0].failure is None
        other = world.browser()
        other.session, other.made_us = new_session_id(4), world.clock.now_us()
        await log_in(other)
        assert list(world.set_aside.asides) == [3]


class AnswersLate:
    """A log that says where a partition of sessions ends, and is heard when more has been written behind that."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.asked, self.heard = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        told: Mapping[TopicPartition, tuple[int, int]] = await self._log.bounds_of(places)
        if SESSIONS in places:
            self.asked.set()
            await self.heard.wait()
        return told


@pytest.mark.parametrize("bodies", [1, 2, 3])
async def test_an_end_that_is_told_late_is_no_loss(bodies: int) -> None:
    async with World(workers=0, look_s=0.02) as world:
        logs: list[AnswersLate] = []

        def late(log: Any) -> AnswersLate:
            logs.append(AnswersLate(log))
            logs[0].heard.set()
            return logs[0]

        worker = await world.add_worker(late)
        await until(lambda: worker.caught_up)
        logs[0].heard.clear()
        logs[0].asked.clear()
        await logs[0].asked.wait()  # the look at the log is under way
        browser = world.browser()
        for body in ({"uid_field": "alice"}, {"password": "wrong"}, {"password": "secret"})[:bodies]:
            await browser.post(body)
        logs[0].heard.set()
        logs[0].asked.clear()
        await logs[0].asked.wait()  # and the next one
        assert worker.set_aside() == []
        assert world.set_aside.asides == {}


async def test_a_partition_that_was_made_anew_is_set_aside_at_the_first_append_at_the_latest() -> None:
    async with World(look_s=3600.0) as world:
        await log_in(world.browser())
        await written(world, 2)
        cut(world, 2)
        browser = world.browser()
        await browser.get()
        reply = await browser.post({"uid_field": "alice"})
        assert (reply.outcome, reply.session_over) == ("refused", True)
        assert world.workers[0].set_aside()[0].reason == "acknowledged"
        await until(lambda: 3 in world.set_aside.asides)  # which does not wait for the next look


async def test_records_that_nobody_has_done_and_that_are_gone_from_the_start_set_it_aside() -> None:
    async with World(look_s=0.02) as world:
        browser = await at_the_password(world)
        await written(world, 1)
        await world.workers.pop().stop()
        for _ in range(2):
            await world.log.append(none_of_ours(browser.session))
        partition(world).forget(2)
        await world.add_worker()
        await until(lambda: 3 in world.set_aside.asides)
        assert world.set_aside.asides[3].reason == "below_start"


def none_of_ours(session: str) -> Message:
    return Message(*SESSIONS, session.encode(), b"x", ())


async def test_an_order_whose_transition_is_gone_sets_it_aside_even_if_nothing_else_remembers_it() -> None:
    async with World(look_s=0.02) as world:
        await log_in(world.browser())
        await written(world, 2)
        membership = world.workers[0]._membership
        assert membership
        await membership.commit({SESSIONS: 1})
        await world.workers.pop().stop()
        cut(world, 1)
        another = await world.add_worker()
        await until(lambda: 3 in world.set_aside.asides)
        assert world.set_aside.asides[3].reason == "order"
        assert another.failure is None


async def test_a_log_that_grew_again_over_what_it_lost_is_found_out_by_the_id_that_stands_there() -> None:
    async with World(look_s=0.02) as world:
        await log_in(world.browser())
        await written(world, 2)
        await world.workers.pop().stop()
        cut(world, 1)
        for _ in range(2):
            await world.log.append(none_of_ours("03.x"))
        await world.add_worker()
        await until(lambda: 3 in world.set_aside.asides)
        assert world.set_aside.asides[3].reason == "order"


async def test_a_repair_ends_what_differs_keeps_the_rest_and_needs_no_rebalance() -> None:
    async with World(look_s=0.02) as world:
        other = await at_the_password(world)
        browser = world.browser()
        await log_in(browser)
        await written(world, 3)
        cut(world, 1)
        await until(lambda: 3 in world.set_aside.asides)
        await refused(other)
        world.set_aside.asides[3] = replace(world.set_aside.asides[3], repair=True)
        worker = world.workers[0]
        await until(lambda: 3 in worker.partitions.owners)
        assert not world.set_aside.asides and worker.failure is None and len(world.workers) == 1
        assert (await other.post({"password": "secret"})).login, "nothing of this session was lost"
        reply = await world.ask(browser.compose("start", "login", None))
        assert (reply.outcome, reply.session_over, reply.retry_after_s) == ("refused", True, 0)
        history = await world.history(browser.session)
        rule = AcceptedTransitions()
        accepted = [received for received in history if rule.accepts(received.envelope)]
        assert accepted == history and history[-1].body.events[-1].reason == LOG_LOST
        await log_in(world.browser())
        # and it stays whole for the next owner
        await world.workers.pop().stop()
        await world.add_worker()
        await log_in(world.browser())
        assert not world.set_aside.asides


async def test_a_partition_that_is_repaired_again_ends_no_session_twice() -> None:
    async with World(look_s=0.02) as world:
        browsers = [world.browser() for _ in range(3)]
        for browser in browsers:
            await log_in(browser)
            await written(world, partition(world).next)
            cut(world, 1)
            await until(lambda: 3 in world.set_aside.asides)
            world.set_aside.asides[3] = replace(world.set_aside.asides[3], repair=True)
            await until(lambda: 3 in world.workers[0].partitions.owners)
        for browser in browsers:
            rule, history = AcceptedTransitions(), await world.history(browser.session)
            ends = [event for one in history if rule.accepts(one.envelope) for event in one.body.events if event.event == "session.ended"]
            assert [event.reason for event in ends] == [LOG_LOST]


async def test_how_far_a_partition_reached_is_remembered_where_nothing_else_is() -> None:
    async with World(look_s=0.02) as world:
        await at_the_password(world)
        await written(world, 1)
        await until(lambda: world.set_aside.sessions.get(3) == 1)
        membership = world.workers[0]._membership
        assert membership
        await membership.commit({SESSIONS: 0})
        await world.workers.pop().stop()
        cut(world, 1)
        await world.add_worker()
        await until(lambda: 3 in world.set_aside.asides)
        assert world.set_aside.asides[3].reason == "end"


class Late:
    """A log that acknowledges one transition only after it was given up."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.held: list[tuple[Message, asyncio.Future[int]]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if self.held is None or message.topic != topics.SESSIONS or self.held:
            return int(await self._log.append(message))
        self.held.append((message, asyncio.get_running_loop().create_future()))
        raise LogUnavailable("not acknowledged", self.held[0][1])

    async def comes(self) -> None:
        assert self.held
        message, late = self.held[0]
        late.set_result(await self._log.append(message))


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_record_that_comes_late_and_stands_where_another_one_was_tells_of_the_loss(count: int) -> None:
    async with World(look_s=0.02, workers=0) as world:
        logs: list[Late] = []

        def late(log: Any) -> Late:
            logs.append(Late(log))
            return logs[-1]

        await world.add_worker(late)
        await log_in(world.browser())
        browser = await at_the_password(world)
        await written(world, 3)
        logs[0].held = []
        reply = await browser.post({"password": "secret"})
        assert reply.outcome == "unavailable"
        there = partition(world)
        if count:
            del there.records[-count:]
            there.next -= count
        await logs[0].comes()
        if count > 1:
            await world.log.append(none_of_ours("03.x"))  # it has grown to where it was: by its length nothing is to be seen
        await asyncio.sleep(0.1)
        if count:
            await until(lambda: 3 in world.set_aside.asides)
            assert world.set_aside.asides[3].reason == "acknowledged"
        else:
            assert not world.set_aside.asides
            await until(lambda: len(world.directory.performed) == 2)  # it is read, and its order done, though nobody waited
            rule, history = AcceptedTransitions(), await world.history(browser.session)
            assert all(rule.accepts(received.envelope) for received in history)


async def test_postgres_that_is_away_delays_the_row_and_nothing_else() -> None:
    async with World(look_s=0.02) as world:
        browser = world.browser()
        await log_in(browser)
        await written(world, 2)
        world.set_aside.fail = Unavailable("away")
        cut(world, 1)
        await until(lambda: bool(world.workers[0].set_aside()))
        await refused(browser)
        world.set_aside.fail = None
        await until(lambda: 3 in world.set_aside.asides)


async def test_a_row_that_somebody_else_wrote_counts() -> None:
    async with World(look_s=0.02) as world:
        browser = world.browser()
        await log_in(browser)
        world.set_aside.asides[3] = Aside(3, 9, 1, "order", 1)
        await until(lambda: bool(world.workers[0].set_aside()))
        await refused(browser)
        del world.set_aside.asides[3]
        await until(lambda: not world.workers[0].set_aside())
        assert (await world.ask(browser.compose("start", "login", None))).outcome == "offered"


async def test_a_step_in_hand_when_its_partition_is_set_aside_is_answered() -> None:
    async with World(look_s=0.02) as world:
        await log_in(world.browser())
        await written(world, 2)
        world.directory.away_for_orders = 10_000
        browser = await at_the_password(world)
        asking = asyncio.create_task(world.ask(browser.compose("answer", "login", {"password": "secret"})))
        await until(lambda: world.directory.away_for_orders < 10_000)
        cut(world, 1)
        reply = await asking
        assert (reply.outcome, reply.session_over, reply.retry_after_s) == ("refused", True, 30)


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_states_that_are_lost_are_made_anew_from_the_history_by_the_next_owner(count: int) -> None:
    async with World() as world:
        browsers = [await at_the_password(world), await at_the_password(world)]
        assert (await browsers[0].post({"password": "secret"})).login
        there = partition(world, STATE)
        await written(world, 3)
        assert there.next >= 2  # one of each session, for how many transitions ever
        await world.workers.pop().stop()
        world.set_aside.states[3] = there.next
        cut(world, min(count, there.next), STATE)
        await world.add_worker()
        assert (await browsers[1].post({"password": "secret"})).login
        assert (await world.ask(browsers[0].compose("state", "login", None))).rotation == browsers[0].rotation
        for browser in browsers:
            rule, history = AcceptedTransitions(), await world.history(browser.session)
            assert all(rule.accepts(received.envelope) for received in history)


async def test_states_that_are_lost_under_their_owner_are_written_again_and_no_step_waits_for_ever() -> None:
    async with World() as world:
        browser, other = await at_the_password(world), await at_the_password(world)
        await written(world, 2)
        cut(world, 2, STATE)
        world.directory.away_for_orders = 10_000
        asking = asyncio.create_task(world.ask(browser.compose("answer", "login", {"password": "secret"})))
        await until(lambda: world.directory.away_for_orders < 10_000)
        await world.workers[0].take_over_anew(3)
        world.directory.away_for_orders = 0
        assert (await asking).login
        sessions = {browser.session, other.session}
        await until(lambda: {writer_of(record.key.decode())[0] for record in partition(world, STATE).records} == sessions)
        world.set_aside.states[3] = 0
        await world.workers.pop().stop()
        await world.add_worker()
        assert (await other.post({"password": "secret"})).login


async def test_a_session_decided_on_a_wrong_state_ends_and_nothing_else() -> None:
    async with World(look_s=0.02) as world:
        browser = await at_the_password(world)
        older = world.workers[0].partitions.owners[3].states.get(browser.session)
        assert (await browser.twin().post({"password": "secret"})).login
        await written(world, 2)
        # As after a former owner whose late write was taken for the newest.
        world.workers[0].partitions.owners[3].states.put(older, packed(older))
        reply = await browser.post({"password": "secret"})
        assert (reply.outcome, reply.session_over) == ("refused", True)
        assert not world.set_aside.asides and not world.workers[0].set_aside()
        history = await world.history(browser.session or older.session)
        rule = AcceptedTransitions()
        accepted = [received for received in history if rule.accepts(received.envelope)]
        assert [e.event for e in accepted[-1].body.events][-1] == "session.ended"
        assert [e.login.user for r in accepted for e in r.body.events if e.event == "session.logged_in"] == [ALICE.pk]
        await log_in(world.browser())
