"""The worker: a member of the group over steps, plans, verdicts and sessions; it has one owner for each partition."""

import asyncio
import gc
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from services.executor.common.ports import Aside, LogDiverged
from services.executor.sessions.asking import Asking
from services.executor.sessions.owner import GROUP, Owner
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.parts import Parts
from services.executor.sessions.repair import repair
from services.executor.sessions.session import expired
from services.executor.sessions.set_aside import PartitionsAside, Refusing
from services.executor.sessions.takeover import take_over
from shared.contracts import topics
from shared.contracts.errors import BadKey
from shared.contracts.steps import CODEC, StepRequested
from shared.kernel.errors import Unavailable, why
from shared.kernel.ids import partition_of
from shared.kernel.retrying import again_and_again
from shared.kernel.tasks import all_of, failure_of
from shared.messaging.dead_letters import PATIENCE_S, DeadLetters
from shared.messaging.log import LogUnavailable, Membership, Record, TopicPartition
from shared.messaging.offsets import LowWater

logger = logging.getLogger(__name__)
TOPICS: Final = (topics.STEPS, topics.PLANS, topics.VERDICTS, topics.SESSIONS)
STALE_S: Final = 3.0
"""Half of the group's session time-out: with an older heartbeat, what we hold may be somebody else's (architecture §4.1)."""
COMMIT_S: Final = 0.5
RETRY_S: Final = 0.2
SWEEP_S: Final = 60.0
LOOK_S: Final = 5.0
"""How often the log's ends and the rows of what is set aside are looked at (architecture §4.15)."""


class Worker:
    """Owns the partitions that the group gives it. `parts.ownership` and `failed` are filled in here."""

    def __init__(self, parts: Parts, asking: Asking, dead_letters: DeadLetters, look_s: float = LOOK_S) -> None:
        self._look_s = look_s
        self._ownership = Ownership(parts.log, self.alive)
        self._parts = replace(parts, ownership=self._ownership, failed=self._stop_at)
        self._asking = asking
        self._dead_letters = dead_letters
        self._owners: dict[int, Owner] = {}
        self._coming: dict[int, asyncio.Task[None]] = {}
        self._marks = LowWater()
        self._aside = PartitionsAside(self._parts, self._marks)
        self._membership: Membership | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._numbers: frozenset[int] = frozenset()
        self._failure: BaseException | None = None
        self.assigned_once = self._caught_up = False

    async def start(self) -> None:
        """Join the group and begin to work."""
        self._membership = await self._parts.log.join(GROUP, TOPICS, self)
        chores = (self._commit_now_and_then(), self._sweep_now_and_then(), self._look_now_and_then())
        self._tasks = [asyncio.create_task(chore) for chore in chores]

    async def stop(self) -> None:
        """Leave the group: what is unfinished is somebody else's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._membership:
            await self._membership.leave()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.kept(frozenset())  # a membership that failed tells nothing

    @property
    def failure(self) -> BaseException | None:
        """Why the worker ended by itself."""
        return self._failure or failure_of(*self._tasks) or (self._membership.failure if self._membership else None)

    @property
    def caught_up(self) -> bool:
        """Whether it has taken over what the group gave it, and the group knows it still: one that slept has to hear that anew."""
        return self._caught_up and self.alive()

    def alive(self) -> bool:
        """Whether the group has heard of us lately."""
        return self._membership is not None and self._membership.heartbeat_age() < STALE_S

    def held(self) -> list[TopicPartition]:
        """The partitions of all its topics that it owns."""
        return [TopicPartition(topic, number) for topic in TOPICS for number in (*self._owners, *self._aside.held)]

    def set_aside(self) -> list[Aside]:
        """The partitions that it holds and that are set aside."""
        return [refusing.aside for refusing in self._aside.held.values()]

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where a partition is done."""
        return self._marks.mark(place)

    # --- the group's calls ---

    async def halted(self) -> None:
        """Write what was put off and then nothing, note how far everything is done, and wait for what is kept."""
        self._write_states()
        await asyncio.sleep(0)  # it begins
        await self._ownership.halt()
        try:
            await self._commit()
        except Unavailable as away:
            logger.warning("offsets are not committed, their records come again: %s", away.code)

    async def kept(self, partitions: frozenset[int]) -> None:
        """Go on with these partitions, whose sessions are as they were; drop all others."""
        gone, self._numbers = self._numbers - partitions, self._numbers & partitions
        coming = [self._coming.pop(number) for number in gone & self._coming.keys()]
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        await asyncio.gather(*(self._owners.pop(number).stop() for number in gone & self._owners.keys()))
        await self._aside.drop(gone)
        self._marks.forget(gone)
        self._parts.watch().forget_lag(GROUP, gone)
        self._caught_up = self._caught_up and not (gone and not partitions)
        self._ownership.go_on()
        logger.info("keeps %d partitions, lets go of %d", len(self._numbers), len(gone))

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Take over these partitions; their sessions wait meanwhile, those of others do not."""
        self._numbers |= partitions
        if partitions:
            rows = asyncio.ensure_future(self._aside.rows())
            gc.disable()  # what is read stays: to look through all of it again and again takes a fifth of the time
            try:
                await self._come({number: self._taken_over_after(rows, number) for number in partitions})
            finally:
                gc.enable()
        self.assigned_once = self._caught_up = True
        logger.info("owns %d partitions", len(self._owners))

    async def _come(self, takeovers: Mapping[int, Coroutine[Any, Any, None]]) -> None:
        """Take over what is ours meanwhile; what is not any more is cancelled, and not missed."""
        coming = {number: asyncio.create_task(takeover, name=f"takeover of {number}") for number, takeover in takeovers.items()}
        self._coming |= coming
        try:
            await all_of(coming.values())
        finally:
            for number, task in coming.items():
                if self._coming.get(number) is task:
                    del self._coming[number]

    async def _taken_over_after(self, rows: asyncio.Future[Any], number: int) -> None:
        await asyncio.shield(rows)
        await self._take_over(number)

    async def handle(self, records: Sequence[Record]) -> None:
        """Hand records over to owners and open questions; nothing here waits for a session."""
        for record in records:
            if record.topic != topics.SESSIONS:
                self._marks.begin(record)
            try:
                self._dispatch(record)
            except (Unavailable, LogDiverged):
                raise
            except Exception as error:  # noqa: BLE001 - kept, with its traceback if it is ours; a record must not stop its partition
                await self._dead_letters.put(record, *why(error))
                self._marks.done(record)

    def _dispatch(self, record: Record) -> None:
        owner = self._owners.get(record.partition)
        if record.topic == topics.SESSIONS:
            if owner:
                owner.journal.read(record)
            return None
        if record.topic != topics.STEPS:
            self._asking.settle(record)
            return self._marks.done(record)
        received = CODEC.decode(record)
        if not isinstance(received.body, StepRequested) or not _at_home(received.body.session, record):
            raise BadKey
        if owner:
            owner.take_step(record, received)
        elif refusing := self._aside.held.get(record.partition):
            refusing.take_step(record, received.body)
        return None

    async def take_over_anew(self, number: int) -> None:
        """Written states of this partition are lost: read all of its history, once more, if it is ours."""
        membership, owner = self._membership, self._owners.get(number)
        if membership is None or owner is None:
            return
        membership.pause(frozenset((number,)))
        try:
            await self._come({number: self._taken_anew(number, owner)})
        finally:
            membership.resume(frozenset((number,)))

    async def _taken_anew(self, number: int, owner: Owner) -> None:
        self._owners.pop(number, None)
        await asyncio.shield(self._let_go(owner))
        await self._take_over(number, lost_states=True)
        if new := self._owners.get(number):
            for record, _ in owner.unanswered():
                new.take_step(record, CODEC.decode(record))

    async def _take_over(self, number: int, *, lost_states: bool = False) -> None:
        membership = self._membership
        if membership is None:
            # The group may call before `join` has returned to us.
            await asyncio.sleep(0)
            membership = self._membership
        if membership is None:
            raise LogUnavailable("no membership yet")
        if aside := self._aside.row(number):
            self._aside.hold(aside, written=True)
            return
        began = self._parts.clock.monotonic()
        while True:
            owner = Owner(number, self._parts, self._marks, self._dead_letters)
            try:
                committed = await membership.committed(TopicPartition(topics.SESSIONS, number))
                remembered = await self._aside.remembered(number, lost_states=lost_states)
                now_us = self._parts.clock.now_us()
                await take_over(self._parts.log, number, committed, remembered, owner.states, owner.journal, self._dead_letters, now_us)
            except BaseException as error:
                await owner.stop()
                self._marks.forget((number,))
                if isinstance(error, LogDiverged):
                    self._aside.diverged(error)
                    return
                if not isinstance(error, Unavailable) or self._parts.clock.monotonic() - began > PATIENCE_S:
                    raise
                logger.warning("partition %d is taken over anew: %s", number, error)
                await asyncio.sleep(RETRY_S)
            else:
                self._owners[number] = owner
                if owner.diverged:  # what it read has begun to be worked on already
                    self._stop_at(number, owner.diverged)
                return

    def _stop_at(self, partition: int, error: Exception) -> None:
        if isinstance(error, LogDiverged):
            return self._put_aside(partition, self._aside.diverged(error)) if partition in self._owners else None
        logger.critical("partition %d stops", partition, exc_info=error)
        self._failure = error
        return None

    def _put_aside(self, partition: int, refusing: Refusing) -> None:
        owner = self._owners.pop(partition)
        task = asyncio.create_task(self._retire(owner, refusing))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, owner: Owner, refusing: Refusing) -> None:
        """Nothing of the partition goes on, and nothing more of it counts as done; who waits for a step of it is answered."""
        await self._let_go(owner)
        for record, step in owner.unanswered():
            refusing.take_step(record, step)

    async def _let_go(self, owner: Owner) -> None:
        await owner.stop()
        self._marks.forget_place(TopicPartition(topics.SESSIONS, owner.partition))

    # --- now and then ---

    async def _commit_now_and_then(self) -> None:
        await again_and_again(
            self._write_and_commit, COMMIT_S, lambda away: logger.warning("offsets are not committed: %s", away.code), first=False
        )

    async def _write_and_commit(self) -> None:
        self._write_states()
        await self._commit()

    def _write_states(self) -> None:
        for owner in self._owners.values():
            owner.written_states.write()

    async def _commit(self) -> None:
        if self._membership:
            await self._marks.commit(self._membership)

    async def _look_now_and_then(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._aside.unwritten.wait()
            self._aside.unwritten.clear()
            try:
                await self._look()
            except Unavailable as away:
                logger.warning("what is set aside is looked at later: %s", away.code)

    async def _look(self) -> None:
        """Whether the log still has what is known of it; and what PostgreSQL says of partitions that are set aside."""
        await self._ownership.assured()  # one that slept knows of a log that may have been repaired since
        for number, owner in list(self._owners.items()):
            try:
                known = owner.journal.known  # an answer that was long under way does not know what was written meanwhile
                owner.journal.check(known, *await self._parts.log.bounds(TopicPartition(topics.SESSIONS, number)))
            except LogDiverged as error:
                if self._owners.get(number) is owner:
                    self._stop_at(number, error)
        await self._aside.write({number: owner.journal.known for number, owner in self._owners.items()})
        rows = await self._aside.rows()
        if rows is None:
            return
        for number in rows.keys() & self._owners.keys():
            self._put_aside(number, self._aside.hold(rows[number], written=True))
        for number, refusing in list(self._aside.held.items()):
            if refusing.written and (number not in rows or rows[number].repair):
                await self._bring_back(number, repaired=number not in rows)

    async def _bring_back(self, number: int, *, repaired: bool) -> None:
        """Take over a partition that was set aside, without a rebalance: it was ours all the time, and its records wait meanwhile."""
        membership, parts = self._membership, self._parts
        if membership is None:
            return
        await self._ownership.assured()
        if not repaired:
            await repair(number, parts.log, self._ownership, membership, parts.set_aside, parts.clock, parts.secret_key)
            await self._aside.rows()
        if number not in self._numbers or number not in self._aside.held:
            return
        membership.pause(frozenset((number,)))
        try:
            await self._come({number: self._taken_back(number)})
        finally:
            membership.resume(frozenset((number,)))

    async def _taken_back(self, number: int) -> None:
        await self._aside.drop((number,))
        await self._take_over(number)

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for owner in list(self._owners.values()):
                await sweep(owner, self._parts.clock.now_us())


def _at_home(session: str, record: Record) -> bool:
    try:
        return partition_of(session) == record.partition and record.key == session.encode()
    except ValueError:
        return False


async def sweep(owner: Owner, now_us: int) -> None:
    """Queue the end of every session of this owner that is over by age (a transition under a derived id, like any other:
    architecture §3, §4.7), and the forgetting of those that have ended.

    Behind what the session is doing: orders may wait for PostgreSQL longer than an ended session is held. One at a time:
    after a night without visitors many are due at once, and steps and heartbeats must not wait for them all.
    """
    for session in owner.states.due(now_us):
        owner.queues.submit(session, lambda session=session: _let_go(owner, session, now_us))  # type: ignore[misc]
        await asyncio.sleep(0)


async def _let_go(owner: Owner, session: str, now_us: int) -> None:
    state = owner.states.get(session)
    if state.ended:
        owner.states.let_go(state, now_us)
    elif expired(state, now_us):
        await owner.end(session, "expired")
    else:
        owner.states.look_again(state)
