"""Partitions that are set aside: their steps are answered at once, and nothing else is done in them, until they are repaired (architecture §4.15)."""

import asyncio
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.executor.common.ports import Aside, LogDiverged, Remembered
from services.executor.sessions import replying
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import Marks
from shared.contracts import topics
from shared.contracts.steps import StepRequested
from shared.kernel.errors import Unavailable
from shared.messaging.log import Record

logger = logging.getLogger(__name__)


class Refusing:
    """Stands where the owner of a partition would. `written`: PostgreSQL knows of it."""

    def __init__(self, aside: Aside, parts: Parts, marks: Marks, *, written: bool) -> None:
        self.aside = aside
        self.written = written
        self._parts = parts
        self._marks = marks
        self._tasks: set[asyncio.Task[None]] = set()

    def take_step(self, record: Record, step: StepRequested) -> None:
        """Send its visitor to a fresh session, elsewhere."""
        task = asyncio.create_task(self._answer(record, step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, record: Record, step: StepRequested) -> None:
        await self._parts.ownership.assured()
        now_us = self._parts.clock.now_us()
        if now_us <= step.deadline_us:
            reply = replying.elsewhere(step, self._parts.elsewhere_s)
            self._parts.watch().step("", reply.outcome, 0.0)
            await replying.send(self._parts.ownership, self._parts.at_home, self._parts.secret_key, step, reply, now_us)
        self._marks.done(record)

    async def stop(self) -> None:
        """Leave the rest to the next holder."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class PartitionsAside:
    """What is set aside of a worker's partitions, as its rows in PostgreSQL have it. While that is away, what was known last counts.

    `unwritten` is set when there is something to `write` at once.
    """

    def __init__(self, parts: Parts, marks: Marks) -> None:
        self._parts = parts
        self._marks = marks
        self._rows: Mapping[int, Aside] = {}
        self._reached: dict[int, int] = {}
        self.held: dict[int, Refusing] = {}
        self.unwritten = asyncio.Event()

    async def rows(self) -> Mapping[int, Aside] | None:
        """What PostgreSQL has; None while it is away."""
        try:
            self._rows = await self._parts.set_aside.rows()
        except Unavailable as away:
            logger.warning("which partitions are set aside is as it was known last: %s", away.code)
            return None
        return self._rows

    def row(self, partition: int) -> Aside | None:
        """The partition's row, as it was read last."""
        return self._rows.get(partition)

    async def remembered(self, partition: int, *, lost_states: bool) -> Remembered:
        """What PostgreSQL remembers of a partition; nothing, and a line, while it is away. `lost_states`: it is known that some are."""
        try:
            found = await self._parts.set_aside.remembered(partition)
        except Unavailable as away:
            logger.warning("partition %d is taken over without what PostgreSQL remembers of it: %s", partition, away.code)
            found = Remembered()
        return replace(found, states=sys.maxsize) if lost_states else found

    def hold(self, aside: Aside, *, written: bool) -> Refusing:
        """Refuse the steps of this partition from now on."""
        logger.error(
            "LOG_DIVERGED: partition %d of %s is set aside at offset %d, the log has %d (%s); `sluice sessions repair` mends it",
            aside.partition, topics.SESSIONS, aside.offset, aside.bound, aside.reason,
            extra={"topic": topics.SESSIONS, "partition": aside.partition, "offset": aside.offset, "reason": aside.reason},
        )  # fmt: skip
        self._parts.watch().set_aside(topics.SESSIONS, aside.partition, aside.offset)
        refusing = self.held[aside.partition] = Refusing(aside, self._parts, self._marks, written=written)
        return refusing

    def diverged(self, error: LogDiverged) -> Refusing:
        """Set a partition aside that nobody has yet."""
        aside = Aside(error.partition, error.offset, error.bound, error.reason, self._parts.clock.now_us())
        self.unwritten.set()
        return self.hold(aside, written=False)

    async def write(self, ends: Mapping[int, int]) -> None:
        """Have PostgreSQL know of all that is set aside, and how far the others reach. `Unavailable` leaves it for the next time."""
        for refusing in list(self.held.values()):
            if not refusing.written:
                await self._parts.set_aside.put(refusing.aside)
                refusing.written = True
        moved = {number: end for number, end in ends.items() if self._reached.get(number) != end}
        if moved:
            await self._parts.set_aside.reached(moved)
            self._reached = dict(ends)

    async def drop(self, partitions: Iterable[int]) -> None:
        """They are somebody else's, or are taken over now."""
        for number in set(partitions) & self.held.keys():
            self._parts.watch().set_aside(topics.SESSIONS, number, None)
            await self.held.pop(number).stop()
