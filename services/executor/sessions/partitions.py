"""The partitions that a worker holds: owned, being taken over, or set aside until they are repaired (architecture §4.1, §4.6, §4.15)."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from services.executor.common.ports import LogDiverged
from services.executor.sessions.owner import Owner
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import Unreadable
from services.executor.sessions.set_aside import PartitionsAside, Refusing
from services.executor.sessions.takeover import take_over
from shared.contracts import topics
from shared.contracts.steps import CODEC
from shared.kernel.retrying import insist
from shared.kernel.tasks import all_of
from shared.messaging.dead_letters import PATIENCE_S
from shared.messaging.log import LogUnavailable, Membership, TopicPartition
from shared.messaging.offsets import LowWater

logger = logging.getLogger(__name__)
RETRY_S: Final = 0.2


class Partitions:
    """Of each one there is an owner, or what refuses its steps while it is set aside, or a takeover under way. `membership` tells the
    group's, which is not there before the group has been joined; `failure`: why one of them cannot go on."""

    def __init__(self, parts: Parts, marks: LowWater, unreadable: Unreadable, membership: Callable[[], Membership | None]) -> None:
        self._parts = replace(parts, failed=self.failed)
        self._marks = marks
        self._unreadable = unreadable
        self._membership = membership
        self._numbers: frozenset[int] = frozenset()
        self._coming: dict[int, asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self.owners: dict[int, Owner] = {}
        self.aside = PartitionsAside(self._parts, marks)
        self.failure: BaseException | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that are owned or set aside."""
        return (*self.owners, *self.aside.held)

    # --- as the group says ---

    async def keep(self, partitions: frozenset[int]) -> frozenset[int]:
        """Drop all that are not among these; the numbers of what was dropped."""
        gone, self._numbers = self._numbers - partitions, self._numbers & partitions
        coming = [self._coming.pop(number) for number in gone & self._coming.keys()]
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        await asyncio.gather(*(self.owners.pop(number).stop() for number in gone & self.owners.keys()))
        await self.aside.drop(gone)
        self._marks.forget(gone)
        return gone

    async def take(self, partitions: frozenset[int]) -> None:
        """Take over these partitions; their sessions wait meanwhile, those of others do not."""
        self._numbers |= partitions
        if not partitions:
            return
        rows = asyncio.ensure_future(self.aside.rows())
        gc.disable()  # what is read stays: to look through all of it again and again takes a fifth of the time
        try:
            await self._come({number: self._taken_after(rows, number) for number in partitions})
        finally:
            gc.enable()

    async def _taken_after(self, rows: asyncio.Future[Any], number: int) -> None:
        await asyncio.shield(rows)
        await self.take_over(number)

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

    async def _come_while_paused(self, number: int, takeover: Coroutine[Any, Any, None], membership: Membership) -> None:
        """Take over again what the group has given us already: its records wait meanwhile."""
        membership.pause(frozenset((number,)))
        try:
            await self._come({number: takeover})
        finally:
            membership.resume(frozenset((number,)))

    # --- one partition ---

    async def take_over(self, number: int, *, lost_states: bool = False) -> None:
        """Own a partition, or set it aside if it is, or if the log has lost some of it."""
        membership = await self._joined()
        if aside := self.aside.row(number):
            self.aside.hold(aside, written=True)
            return
        clock = self._parts.clock
        began = clock.monotonic()
        try:
            owner = await insist(
                lambda: self._read(number, membership, lost_states=lost_states), RETRY_S,
                told=lambda error: logger.warning("partition %d cannot be taken over now: %s", number, error),
                gives_up=lambda _: clock.monotonic() - began > PATIENCE_S,
            )  # fmt: skip
        except LogDiverged as error:
            self.aside.diverged(error)
            return
        self.owners[number] = owner
        if owner.diverged:  # what it read has begun to be worked on already
            self.failed(number, owner.diverged)

    async def _joined(self) -> Membership:
        membership = self._membership()
        if membership is None:
            await asyncio.sleep(0)  # the group may call before joining it has returned to us
            membership = self._membership()
        if membership is None:
            raise LogUnavailable("no membership yet")
        return membership

    async def _read(self, number: int, membership: Membership, *, lost_states: bool) -> Owner:
        parts = self._parts
        owner = Owner(number, parts, self._marks, self._unreadable)
        try:
            committed = await membership.committed(TopicPartition(topics.SESSIONS, number))
            remembered = await self.aside.remembered(number, lost_states=lost_states)
            now_us = parts.clock.now_us()
            await take_over(parts.log, number, committed, remembered, owner.states, owner.journal, self._unreadable, now_us)
        except BaseException:
            await owner.stop()
            self._marks.forget((number,))
            raise
        return owner

    async def take_over_anew(self, number: int) -> None:
        """Written states of this partition are lost: read all of its history, once more, if it is ours."""
        membership, owner = self._membership(), self.owners.get(number)
        if membership is not None and owner is not None:
            await self._come_while_paused(number, self._taken_anew(number, owner), membership)

    async def _taken_anew(self, number: int, owner: Owner) -> None:
        self.owners.pop(number, None)
        await asyncio.shield(self._let_go(owner))
        await self.take_over(number, lost_states=True)
        if new := self.owners.get(number):
            for record, _ in owner.unanswered():
                new.take_step(record, CODEC.decode(record))

    async def _let_go(self, owner: Owner) -> None:
        await owner.stop()
        self._marks.forget_place(TopicPartition(topics.SESSIONS, owner.partition))

    # --- what the log has lost ---

    def failed(self, partition: int, error: Exception) -> None:
        """A partition cannot go on: it is set aside if its log has lost records, else the worker ends."""
        if isinstance(error, LogDiverged):
            return self.put_aside(partition, self.aside.diverged(error)) if partition in self.owners else None
        logger.critical("partition %d stops", partition, exc_info=error)
        self.failure = error
        return None

    def put_aside(self, partition: int, refusing: Refusing) -> None:
        """Let `refusing` stand where the owner of this partition does."""
        owner = self.owners.pop(partition)
        task = asyncio.create_task(self._retire(owner, refusing))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, owner: Owner, refusing: Refusing) -> None:
        """Nothing of the partition goes on, and nothing more of it counts as done; who waits for a step of it is answered."""
        await self._let_go(owner)
        for record, step in owner.unanswered():
            refusing.take_step(record, step)

    async def take_back(self, number: int) -> None:
        """Take over a partition that was set aside, without a rebalance, if it is ours still: it was all the time."""
        membership = self._membership()
        if membership is not None and number in self._numbers and number in self.aside.held:
            await self._come_while_paused(number, self._taken_back(number), membership)

    async def _taken_back(self, number: int) -> None:
        await self.aside.drop((number,))
        await self.take_over(number)

    async def retired(self) -> None:
        """Wait for the owners that are being replaced."""
        await asyncio.gather(*self._retiring, return_exceptions=True)
