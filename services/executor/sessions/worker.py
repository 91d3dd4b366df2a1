"""The worker: a member of the group over steps, plans, verdicts and sessions; it has one owner for each partition."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.executor.ports import LogDiverged
from services.executor.sessions.asking import Asking
from services.executor.sessions.owner import GROUP, Owner, Parts
from services.executor.sessions.session import expired
from services.executor.sessions.takeover import take_over
from shared.contracts import topics
from shared.contracts.errors import BadKey, BadRecord
from shared.contracts.steps import CODEC, StepRequested
from shared.kernel.errors import Unavailable
from shared.kernel.ids import partition_of
from shared.kernel.tasks import failure_of
from shared.messaging.dead_letters import PATIENCE_S, DeadLetters
from shared.messaging.log import LogUnavailable, Membership, Record, TopicPartition
from shared.messaging.offsets import LowWater
from shared.telemetry.metrics import metrics

logger = logging.getLogger(__name__)
TOPICS: Final = (topics.STEPS, topics.PLANS, topics.VERDICTS, topics.SESSIONS)
STALE_S: Final = 3.0
"""Half of the group's session time-out: with an older heartbeat, what we hold may be somebody else's (architecture §4.1)."""
COMMIT_S: Final = 0.5
RETRY_S: Final = 0.2
SWEEP_S: Final = 60.0


class Worker:
    """Owns the partitions that the group gives it. `parts.alive` is filled in here."""

    def __init__(self, parts: Parts, asking: Asking, dead_letters: DeadLetters) -> None:
        self._parts = replace(parts, alive=self.alive, failed=self._stop_at)
        self._asking = asking
        self._dead_letters = dead_letters
        self._owners: dict[int, Owner] = {}
        self._marks = LowWater()
        self._uncommitted: dict[TopicPartition, int] = {}
        self._membership: Membership | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self.assigned_once = False

    async def start(self) -> None:
        """Join the group and begin to work."""
        self._membership = await self._parts.log.join(GROUP, TOPICS, self)
        self._tasks = [asyncio.create_task(self._commit_now_and_then()), asyncio.create_task(self._sweep_now_and_then())]

    async def stop(self) -> None:
        """Leave the group: what is unfinished is somebody else's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._membership:
            await self._membership.leave()
        # A membership that failed revokes nothing.
        await asyncio.gather(*(owner.stop() for owner in self._owners.values()))
        self._owners.clear()

    @property
    def failure(self) -> BaseException | None:
        """Why the worker ended by itself."""
        return self._failure or failure_of(*self._tasks) or (self._membership.failure if self._membership else None)

    def alive(self) -> bool:
        """Whether the group has heard of us lately."""
        return self._membership is not None and self._membership.heartbeat_age() < STALE_S

    def held(self) -> list[TopicPartition]:
        """The partitions of all its topics that it owns."""
        return [TopicPartition(topic, number) for topic in TOPICS for number in self._owners]

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where a partition is done."""
        return self._marks.mark(place)

    # --- the group's calls ---

    async def assigned(self, partitions: frozenset[int]) -> None:
        """Take over these partitions; their sessions wait meanwhile."""
        gc.disable()  # what is read stays: to look through all of it again and again takes a fifth of the time
        try:
            await asyncio.gather(*(self._take_over(number) for number in partitions))
        finally:
            gc.enable()
        self.assigned_once = True
        logger.info("owns %d partitions", len(partitions))

    async def revoked(self, partitions: frozenset[int]) -> None:
        """Drop these partitions, after noting how far they are done."""
        await asyncio.gather(*(self._owners[number].stop() for number in partitions if number in self._owners))
        try:
            await self._commit()
        except Unavailable as away:
            logger.warning("offsets are not committed, their records come again: %s", away.code)
        self._marks.forget(partitions)
        self._uncommitted = {place: mark for place, mark in self._uncommitted.items() if place.partition not in partitions}
        metrics().forget_lag(GROUP, partitions)
        for number in partitions:
            self._owners.pop(number, None)

    async def handle(self, records: Sequence[Record]) -> None:
        """Hand records over to owners and open questions; nothing here waits for a session."""
        for record in records:
            try:
                self._dispatch(record)
            except BadRecord as bad:
                await self._dead_letters.put(record, bad.code, bad.detail)
                self._marks.done(record)

    def _dispatch(self, record: Record) -> None:
        owner = self._owners.get(record.partition)
        if record.topic == topics.SESSIONS:
            if owner:
                owner.journal.read(record)
            return None
        self._marks.begin(record)
        if record.topic != topics.STEPS:
            self._asking.settle(record)
            return self._marks.done(record)
        received = CODEC.decode(record)
        if not isinstance(received.body, StepRequested) or not _at_home(received.body.session, record):
            raise BadKey
        if owner:
            owner.take_step(record, received)
        return None

    async def _take_over(self, number: int) -> None:
        membership = self._membership
        if membership is None:
            # The group may call before `join` has returned to us.
            await asyncio.sleep(0)
            membership = self._membership
        if membership is None:
            raise LogUnavailable("no membership yet")
        began = self._parts.clock.monotonic()
        while True:
            owner = Owner(number, self._parts, self._marks, self._dead_letters)
            try:
                committed = await membership.committed(TopicPartition(topics.SESSIONS, number))
                await take_over(self._parts.log, number, committed, owner.states, owner.journal, self._dead_letters)
            except BaseException as error:
                await owner.stop()
                self._marks.forget((number,))
                if not isinstance(error, Unavailable) or self._parts.clock.monotonic() - began > PATIENCE_S:
                    raise
                logger.warning("partition %d is taken over anew: %s", number, error)
                await asyncio.sleep(RETRY_S)
            else:
                self._owners[number] = owner
                return

    def _stop_at(self, partition: int, error: Exception) -> None:
        if isinstance(error, LogDiverged):
            logger.critical("LOG_DIVERGED: partition %d stops; the log has lost what PostgreSQL remembers", partition)
        else:
            logger.critical("partition %d stops", partition, exc_info=error)
        self._failure = error

    # --- now and then ---

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            try:
                await self._commit()
            except Unavailable as away:
                logger.warning("offsets are not committed: %s", away.code)

    async def _commit(self) -> None:
        self._uncommitted = self._uncommitted | self._marks.take()
        if self._uncommitted and self._membership:
            moved = self._uncommitted
            await self._membership.commit(moved)
            self._uncommitted = {place: mark for place, mark in self._uncommitted.items() if moved.get(place) != mark}

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
        owner.submit(session, lambda session=session: _let_go(owner, session, now_us))  # type: ignore[misc]
        await asyncio.sleep(0)


async def _let_go(owner: Owner, session: str, now_us: int) -> None:
    state = owner.states.get(session)
    if state.ended:
        owner.states.let_go(state, now_us)
    elif expired(state, now_us):
        await owner.end(session, "expired")
    else:
        owner.states.look_again(state)
