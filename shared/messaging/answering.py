"""A group member that answers many records at a time: planner and policy are two of these.

Records are taken in order and answered at their own pace; an offset is committed once everything before it is answered, so
a record whose answer was lost comes again (architecture §4.5).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Final

from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable, why
from shared.kernel.retrying import again_and_again
from shared.messaging.dead_letters import DeadLetters, guarded
from shared.messaging.log import LogUnavailable, Membership, Record, TopicPartition
from shared.messaging.offsets import LowWater

COMMIT_S: Final = 0.5
CONFIRMED_S: Final = 3.0
"""Half of the group's session time-out."""
IN_HAND: Final = 500
"""Records in hand above which no more are taken until half of them are answered."""

_log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]
"""Begun in a task of its own; one that is dropped before its turn is never begun."""


class AnsweringMember(ABC):
    """See `joining.JoiningMember`. `reads` are the topics of the group; `forgotten` is told which partitions are given up."""

    reads: ClassVar[tuple[str, ...]]

    def __init__(self, dead_letters: DeadLetters, clock: Clock, forgotten: Callable[[frozenset[int]], None]) -> None:
        self._dead_letters = dead_letters
        self._forgotten = forgotten
        self._offsets = LowWater()
        self._tasks: dict[asyncio.Task[None], Record] = {}
        self._held: frozenset[int] = frozenset()
        self._paused: frozenset[int] = frozenset()
        self._take = guarded(self._take_one, dead_letters, clock)
        self.membership: Membership | None = None

    @abstractmethod
    def work(self, record: Record) -> Work | None:
        """What there is to do about a record, None if that is done already. Raises `BadRecord` for what is none of ours."""

    def joined(self, membership: Membership) -> None:
        """See `JoiningMember.joined`: what a membership that failed had taken is given out again, so nothing of it is kept."""
        for task in self._tasks:
            task.cancel()
        self._offsets = LowWater()
        self._held = frozenset()
        self._paused = frozenset()
        self.membership = membership

    async def halted(self) -> None:
        """Commit. What is in hand is answered all the same: an answer that comes twice changes nothing."""
        try:
            await self.commit()
        except LogUnavailable as error:
            _log.warning("offsets are not committed, their records will come again: %s", error)

    async def kept(self, partitions: frozenset[int]) -> None:
        """Drop what is being answered of all others: their next owner is given those records again."""
        gone = self._held - partitions
        dropped = [task for task, record in self._tasks.items() if record.partition in gone]
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)
        self._offsets.forget(gone)
        self._held &= partitions
        self._paused &= partitions
        self._forgotten(gone)

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See `GroupMember.assigned`."""
        self._held |= partitions

    async def handle(self, records: Sequence[Record]) -> None:
        """See `GroupMember.handle`."""
        for record in records:
            self._offsets.begin(record)
        await self._take(records)
        # What is not in hand is done, or was dead-lettered. To say of one twice that it is done changes nothing.
        in_hand = set(map(id, self._tasks.values()))
        for record in records:
            if id(record) not in in_hand:
                self._offsets.done(record)
        if len(self._tasks) > IN_HAND and self.membership is not None and not self._paused:
            self._paused = self._held
            self.membership.pause(self._paused)

    async def commit(self) -> None:
        """Commit how far everything is answered."""
        if self.membership is not None:
            await self._offsets.commit(self.membership)

    async def committing(self) -> None:
        """Commit every half a second, for ever."""
        await again_and_again(self.commit, COMMIT_S, lambda away: _log.warning("offsets are not committed now: %s", away), first=False)

    @property
    def is_joined(self) -> bool:
        """Whether the membership goes on, and the group has said so lately: a process that slept has to hear it anew."""
        membership = self.membership
        return membership is not None and membership.failure is None and membership.heartbeat_age() < CONFIRMED_S

    def held(self) -> tuple[TopicPartition, ...]:
        """Every partition of every topic that is ours."""
        return tuple(TopicPartition(topic, number) for topic in self.reads for number in sorted(self._held))

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where this partition is done, None if nothing of it came."""
        return self._offsets.mark(place)

    async def close(self) -> None:
        """Keep what dead letters are held; before the log is closed."""
        await self._dead_letters.close()

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in hand, but not longer."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _take_one(self, record: Record) -> None:
        work = self.work(record)
        if work is not None:
            task = asyncio.create_task(self._run(record, work), name=f"{record.topic} {record.partition} {record.offset}")
            self._tasks[task] = record
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        record = self._tasks.pop(task)
        if not task.cancelled():
            self._offsets.done(record)
        if self._paused and len(self._tasks) <= IN_HAND // 2 and self.membership is not None:
            paused, self._paused = self._paused, frozenset()
            self.membership.resume(paused)

    async def _run(self, record: Record, work: Work) -> None:
        try:
            await work()
        except Unavailable as error:
            # Whoever asked stops waiting by itself and says so to the visitor (architecture §4.14).
            _log.warning("%s %d stays without an answer: %s", record.place, record.offset, error)
        except Exception as error:  # noqa: BLE001 - kept with its traceback; a record must not stop its partition
            await self._dead_letters.put(record, why(error)[0], type(error).__name__, error)
