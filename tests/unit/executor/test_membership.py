"""A worker and its group: what fails for a moment costs no membership, what ends for good leaves nothing running."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from shared.contracts import topics
from shared.kernel.ids import new_session_id
from shared.messaging.log import LogUnavailable, Record, TopicPartition
from tests.fixtures_patience import PATIENT_S
from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World


async def test_offsets_that_cannot_be_committed_when_partitions_go_cost_no_membership() -> None:
    async with World() as world:
        await log_in(world.browser())
        worker = world.workers[0]
        membership = worker._membership
        assert membership

        async def away(offsets: Mapping[TopicPartition, int]) -> None:
            raise LogUnavailable("away")

        membership.commit = away  # type: ignore[method-assign]
        other = await world.add_worker()
        await until(lambda: len(other.held()) > 0 and len(worker.held()) > 0)
        assert worker.failure is None
        await log_in(world.browser())


class ReadsBadly:
    """A log that cannot be read at first."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.left = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        async for batch in self._log.read(place, start, end):
            yield batch
            if place.topic == topics.SESSIONS and self.left:
                self.left -= 1
                raise LogUnavailable("away")


async def test_a_takeover_that_breaks_off_begins_anew() -> None:
    async with World() as world:
        world.directory.away_for_orders = 1000
        browser = await at_the_password(world)
        step = browser.compose("answer", "login", {"password": "secret"})
        asking = asyncio.create_task(world.ask(step))
        await until(lambda: world.directory.away_for_orders < 1000)
        await world.workers.pop().stop()
        world.directory.away_for_orders = 0
        worker = await world.add_worker(ReadsBadly)
        assert (await asking).login
        assert worker.failure is None
        assert len(world.directory.performed) == 1


async def test_nothing_goes_on_after_a_membership_that_failed() -> None:
    async with World() as world:
        world.directory.away_for_orders = 10_000
        browser = await at_the_password(world)
        await world.send(browser.compose("answer", "login", {"password": "secret"}))
        await until(lambda: world.directory.away_for_orders < 10_000)
        worker = world.workers.pop()
        owner = worker.partitions.owners[3]
        worker._membership._fail(LogUnavailable("lost"))  # type: ignore[union-attr]
        await worker.stop()
        assert worker.failure
        assert not owner.queues.tasks
        assert not worker.held()


async def test_nothing_is_taken_on_by_an_owner_that_has_stopped() -> None:
    async with World() as world:
        await log_in(world.browser())
        owner = world.workers[0].partitions.owners[3]
        await owner.stop()
        ran: list[int] = []

        async def job() -> None:
            ran.append(1)

        owner.queues.submit("03.x", job)
        await asyncio.sleep(0.01)
        assert not ran


async def test_a_log_that_ends_before_what_was_committed_has_lost_its_tail() -> None:
    async with World(workers=0) as world:
        worker = await world.add_worker()
        await log_in(world.browser())
        membership = worker._membership
        assert membership

        async def beyond(place: TopicPartition) -> int:
            return 1000

        membership.committed = beyond  # type: ignore[method-assign]
        worker.partitions.owners.pop(3)
        await worker.partitions.take_over(3)
        (aside,) = worker.set_aside()
        assert (aside.partition, aside.offset, aside.reason) == (3, 1000, "committed")
        assert worker.failure is None


async def test_a_chore_that_breaks_ends_the_worker() -> None:
    async with World() as world:
        worker = world.workers[0]
        membership = worker._membership
        assert membership

        async def broken(offsets: Mapping[TopicPartition, int]) -> None:
            raise RuntimeError("a defect")

        membership.commit = broken  # type: ignore[method-assign]
        await log_in(world.browser())
        await until(lambda: isinstance(worker.failure, RuntimeError))
        del membership.commit


async def test_offsets_whose_commit_failed_are_committed_later() -> None:
    async with World() as world:
        worker = world.workers[0]
        membership = worker._membership
        assert membership
        commit, failed = membership.commit, 0

        async def fails_twice(offsets: Mapping[TopicPartition, int]) -> None:
            nonlocal failed
            if failed < 2:
                failed += 1
                raise LogUnavailable("away")
            await commit(offsets)

        membership.commit = fails_twice  # type: ignore[method-assign]
        await log_in(world.browser())
        places = [TopicPartition(topic, 3) for topic in (topics.STEPS, topics.SESSIONS)]
        ends = [(await world.log.bounds(place))[1] for place in places]
        async with asyncio.timeout(PATIENT_S):
            while [await membership.committed(place) for place in places] != ends:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_log_that_does_not_tell_its_end_does_not_hold_a_step_up_for_ever(limits_as_shipped: None) -> None:
    async with World() as world:
        await world.browser().get()

        async def silent(place: TopicPartition) -> tuple[int, int]:
            await asyncio.Event().wait()
            raise AssertionError

        world.log.bounds = silent  # type: ignore[method-assign]
        browser = world.browser()
        browser.session, browser.rotation = new_session_id(3), 1
        reply = await world.ask(browser.compose("start", "login", None))
        assert reply.outcome == "unavailable"
