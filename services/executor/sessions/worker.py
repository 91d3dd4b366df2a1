"""The worker: a member of the group over steps, plans, verdicts and sessions, which gives each record to whom it is for."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.executor.common.ports import Aside, LogDiverged
from services.executor.sessions.asking import Asking
from services.executor.sessions.lost_records import look_now_and_then
from services.executor.sessions.owner import GROUP
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.partitions import Partitions
from services.executor.sessions.parts import Parts
from shared.contracts import topics
from shared.contracts.errors import BadKey
from shared.contracts.placement import check_session
from shared.contracts.steps import CODEC, StepRequested
from shared.kernel.errors import Unavailable, why
from shared.kernel.retrying import again_and_again
from shared.kernel.tasks import failure_of
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Membership, Record, TopicPartition
from shared.messaging.offsets import LowWater

logger = logging.getLogger(__name__)
TOPICS: Final = (topics.STEPS, topics.PLANS, topics.VERDICTS, topics.SESSIONS)
STALE_S: Final = 3.0
"""Half of the group's session time-out: with an older heartbeat, what we hold may be somebody else's (architecture §4.1)."""
COMMIT_S: Final = 0.5
SWEEP_S: Final = 60.0
LOOK_S: Final = 5.0
"""How often the log's ends and the rows of what is set aside are looked at (architecture §4.15)."""


class Worker:
    """See `log.GroupMember` for the group's calls. `parts.ownership` and `failed` are filled in here."""

    def __init__(self, parts: Parts, asking: Asking, dead_letters: DeadLetters, look_s: float = LOOK_S) -> None:
        self._look_s = look_s
        self._ownership = Ownership(parts.log, self.alive)
        self._parts = replace(parts, ownership=self._ownership)
        self._asking = asking
        self._dead_letters = dead_letters
        self._marks = LowWater()
        self._membership: Membership | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.partitions = Partitions(self._parts, self._marks, dead_letters, lambda: self._membership)
        self.assigned_once = self._caught_up = False

    async def start(self) -> None:
        """Join the group and begin to work."""
        self._membership = await self._parts.log.join(GROUP, TOPICS, self, unhurried=(topics.SESSIONS,))
        look = look_now_and_then(self.partitions, self._parts, self._membership, self._look_s)
        chores = (self._commit_now_and_then(), self._sweep_now_and_then(), look)
        self._tasks = [asyncio.create_task(chore) for chore in chores]

    async def stop(self) -> None:
        """Leave the group: what is unfinished is somebody else's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._membership:
            await self._membership.leave()
        await self.partitions.retired()
        await self.kept(frozenset())  # a membership that failed tells nothing

    @property
    def failure(self) -> BaseException | None:
        """Why the worker ended by itself."""
        return self.partitions.failure or failure_of(*self._tasks) or (self._membership.failure if self._membership else None)

    @property
    def caught_up(self) -> bool:
        """Whether it has taken over what the group gave it, and the group knows it still: one that slept has to hear that anew."""
        return self._caught_up and self.alive()

    def alive(self) -> bool:
        """Whether the group has heard of us lately."""
        return self._membership is not None and self._membership.heartbeat_age() < STALE_S

    def held(self) -> list[TopicPartition]:
        """The partitions of all its topics that it owns."""
        return [TopicPartition(topic, number) for topic in TOPICS for number in self.partitions.numbers]

    def set_aside(self) -> list[Aside]:
        """The partitions that it holds and that are set aside."""
        return [refusing.aside for refusing in self.partitions.aside.held.values()]

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where a partition is done."""
        return self._marks.mark(place)

    async def take_over_anew(self, number: int) -> None:
        """See `Partitions.take_over_anew`."""
        await self.partitions.take_over_anew(number)

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
        gone = await self.partitions.keep(partitions)
        self._parts.watch().forget_lag(GROUP, gone)
        self._caught_up = self._caught_up and not (gone and not partitions)
        self._ownership.go_on()
        logger.info("keeps %d partitions, lets go of %d", len(partitions), len(gone))

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See `Partitions.take`."""
        await self.partitions.take(partitions)
        self.assigned_once = self._caught_up = True
        logger.info("owns %d partitions", len(self.partitions.owners))

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
        owner = self.partitions.owners.get(record.partition)
        if record.topic == topics.SESSIONS:
            if owner:
                owner.journal.read(record)
            return None
        if record.topic != topics.STEPS:
            self._asking.settle(record)
            return self._marks.done(record)
        received = CODEC.decode(record)
        if not isinstance(received.body, StepRequested):
            raise BadKey
        check_session(received.body.session, received.envelope.subject, record.partition)
        if owner:
            owner.take_step(record, received)
        elif refusing := self.partitions.aside.held.get(record.partition):
            refusing.take_step(record, received.body)
        return None

    # --- now and then ---

    async def _commit_now_and_then(self) -> None:
        await again_and_again(
            self._write_and_commit, COMMIT_S, lambda away: logger.warning("offsets are not committed: %s", away.code), first=False
        )

    async def _write_and_commit(self) -> None:
        self._write_states()
        await self._commit()

    def _write_states(self) -> None:
        for owner in self.partitions.owners.values():
            owner.written_states.write()

    async def _commit(self) -> None:
        if self._membership:
            await self._marks.commit(self._membership)

    async def _sweep_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for owner in list(self.partitions.owners.values()):
                await owner.sweep(self._parts.clock.now_us())
