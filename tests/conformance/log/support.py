"""What the suite says its sentences with: a log under test, a member that takes notes, bounded waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shared.contracts.topics import Topic
from shared.messaging.log import Log, Membership, Message, ReadableLog, Record, TopicPartition

WAIT_S = 60.0


@dataclass(frozen=True)
class Bench:
    """A log under test and its topics by their short names (on a shared broker every test has its own)."""

    kind: str
    topics: dict[str, Topic]
    log: Log
    another: Callable[[], Awaitable[Log]]
    logs: list[Log]

    def name(self, short: str) -> str:
        return self.topics[short].name

    def group(self, short: str) -> str:
        return self.name("plain") + short

    def place(self, short: str, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.name(short), partition)

    def message(self, short: str, value: bytes | None, partition: int = 0, key: bytes | None = b"k") -> Message:
        return Message(self.name(short), partition, key, value)

    async def write(self, short: str, *values: bytes, partition: int = 0) -> list[int]:
        return [await self.log.append(self.message(short, value, partition)) for value in values]

    async def everything(self, short: str, partition: int = 0) -> list[Record]:
        place = self.place(short, partition)
        first, following = await self.log.bounds(place)
        return [record async for batch in self.log.read(place, first, following) for record in batch]

    async def close(self) -> None:
        for log in self.logs:
            await log.close()


@dataclass
class Recorder:
    """A member that notes what happens to it; `fail_on` makes it raise once it is given that value."""

    membership: Membership | None = None
    held: frozenset[int] = frozenset()
    coming: frozenset[int] = frozenset()
    is_halted: bool = False
    records: list[Record] = field(default_factory=list)
    events: list[tuple[str, frozenset[int]]] = field(default_factory=list)
    fail_on: bytes | None = None
    commits: bool = False
    busy: bool = False

    async def halted(self) -> None:
        self._alone()
        assert not self.is_halted, "halted twice"
        self.is_halted = True
        self.events.append(("halted", self.held))

    async def kept(self, partitions: frozenset[int]) -> None:
        self._alone()
        assert partitions <= self.held | self.coming, "what was never held cannot be kept"
        self.held &= partitions
        self.coming &= partitions
        self.is_halted = False
        self.events.append(("kept", partitions))

    async def assigned(self, partitions: frozenset[int]) -> None:
        # Not alone: this call may come while records of what was kept are handled.
        assert self.membership is not None, "called before join returned"
        assert not partitions & (self.held | self.coming), "assigned what is held"
        self.coming |= partitions
        await self.prepare(partitions)
        self.held |= self.coming & partitions
        self.coming -= partitions
        self.events.append(("assigned", partitions))

    async def prepare(self, partitions: frozenset[int]) -> None:
        """What a member may take its time for."""

    async def handle(self, records: Sequence[Record]) -> None:
        self._alone()
        assert not self.is_halted, "a record while the group shares anew"
        self.busy = True
        await asyncio.sleep(0)
        for record in records:
            assert record.partition in self.held, "a record of a partition that is not held"
            if self.fail_on is not None and record.value == self.fail_on:
                self.busy = False
                raise ValueError("told to fail")
            self.records.append(record)
        if self.commits and self.membership is not None:
            await self.membership.commit({record.place: record.offset + 1 for record in records})
        self.busy = False

    def _alone(self) -> None:
        assert not self.busy, "calls overlap"

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]


class Slow(Recorder):
    """A member that prepares until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def prepare(self, partitions: frozenset[int]) -> None:
        if partitions:
            await self.go_on.wait()


async def joined(log: Log, group: str, topics: Sequence[str], **how: object) -> Recorder:
    """A member of a group, with its membership."""
    member = Recorder(**how)  # type: ignore[arg-type]
    member.membership = await log.join(group, topics, member)
    return member


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, not for ever."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def taken(log: ReadableLog, topic: str, start: dict[int, int], count: int) -> list[Record]:
    """The first records that a tail gives."""
    tail = log.tail(topic, start)
    records: list[Record] = []
    async with asyncio.timeout(WAIT_S):
        async for batch in tail:
            records += batch
            if len(records) >= count:
                break
    await tail.close()
    return records
