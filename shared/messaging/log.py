"""The log port: the little that the services want from Kafka, so that an embedded log can stand in for it.

Two adapters pass one conformance suite (`tests/conformance/log`): `kafka.py` and `embedded.py`. A topic is a set of
numbered partitions; a record in one has an offset that only grows; nobody changes a record (architecture §7).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from shared.contracts.codec import Received
from shared.contracts.topics import Topic
from shared.kernel.errors import SluiceError, Unavailable

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """A record to append. `value` None is a tombstone, which only compacted topics take. `said` is what its bytes say (`saying.message`)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    said: Received[Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the log holds it; `timestamp_ms` is the broker's (LogAppendTime).

    `prover` tells whether its writer may be believed (`codec.prove` asks it); None where the log has one writer, this process (`embedded`).
    `said` is what it says, where this process has just said it and nobody else can have written it: then it need not be decoded.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    prover: "Prover | None" = field(default=None, compare=False, repr=False)
    said: Received[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def place(self) -> TopicPartition:
        """Topic and partition."""
        return TopicPartition(self.topic, self.partition)


class Prover(Protocol):
    """Who can tell whether a record is its alleged writer's: `proof.Proofs`."""

    def check(self, record: Record) -> None:
        """`BadProof` if it is not."""
        ...


class LogUnavailable(Unavailable):
    """The log did not acknowledge or answer in time (1 s for an append); the record may or may not be in it. `late` has its offset, should
    it be acknowledged yet; it is cancelled if it is not."""

    code = "E_LOG_UNAVAILABLE"

    def __init__(self, detail: str = "", late: asyncio.Future[int] | None = None) -> None:
        super().__init__(detail)
        self.late = late


class LogClosed(LogUnavailable):
    """We have closed the log ourselves: waiting brings nothing."""


class Mismatched(Unavailable):
    """A group gave us unlike partition numbers of topics that belong together (architecture §4.1)."""

    code = "E_LOG_MISMATCHED_ASSIGNMENT"


class Refused(SluiceError):
    """A record that the log would never take: the caller's mistake, not to be tried again."""

    code = "E_LOG_REFUSED"


def check(message: Message, topics: Mapping[str, Topic], partitions: int | None = None) -> Topic:
    """The topic of a record that may be appended; `Refused` with the reason if it may not.

    `partitions` is the broker's count where it can differ from the definition (a count that grew). The size rule is
    the broker's `max.message.bytes`, applied here so that both adapters refuse the same records.
    """
    topic = topics.get(message.topic)
    if topic is None:
        raise Refused(f"unknown topic {message.topic}")
    if not 0 <= message.partition < (partitions or topic.partitions):
        raise Refused(f"{message.topic} has no partition {message.partition}")
    compacted = "compact" in topic.cleanup
    if message.value is None and not compacted:
        raise Refused(f"a tombstone for {message.topic}, which is not compacted")
    if message.key is None and compacted:
        raise Refused(f"a record without a key for {message.topic}, which is compacted")
    size = len(message.value or b"") + len(message.key or b"") + _OVERHEAD
    for name, value in message.headers:
        size += len(name) + len(value) + 4
    if size > topic.max_bytes:
        raise Refused(f"a record of more than {topic.max_bytes} bytes for {message.topic}")
    return topic


_OVERHEAD = 128  # bytes: what a Kafka batch of one record adds, rounded up; a header adds up to 4


class GroupMember(Protocol):
    """What a member of a consumer group does. An exception from a call ends the membership.

    No call comes before `join` has returned, so that a member can keep its `Membership` and use it in all of them. Calls do not overlap,
    but for `assigned`: it may take its time, and meanwhile the others come for what is held besides.
    A rebalance is eager, and yet what one keeps is kept: `halted`, then `kept`, then `assigned` for what is new.
    """

    async def halted(self) -> None:
        """The group shares anew, and anybody may be given what is held: write nothing from now on, and commit. All members wait for it."""
        ...

    async def kept(self, partitions: frozenset[int]) -> None:
        """Of what is held, or being prepared by `assigned`, these are ours as before, and nobody else had them: go on. Drop all others.

        Their records go on behind the last one that was handled, whatever was committed.
        """
        ...

    async def assigned(self, partitions: frozenset[int]) -> None:
        """These partition numbers (of all topics of the group) are ours from now on; records come after it returns."""
        ...

    async def handle(self, records: Sequence[Record]) -> None:
        """A batch, in order within each partition. Keep it short: hand over to tasks, do not wait for slow things."""
        ...


class Membership(Protocol):
    """A member's hold on its group."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything before these offsets is done; ignored for partitions that are not ours any more.

        A crash right after may forget it, never more than that: the records come again.
        """
        ...

    async def committed(self, place: TopicPartition) -> int | None:
        """The group's committed offset, None if there is none."""
        ...

    def pause(self, partitions: frozenset[int]) -> None:
        """Deliver nothing of these partition numbers until `resume`."""
        ...

    def resume(self, partitions: frozenset[int]) -> None:
        """Deliver again, from where it stopped."""
        ...

    def heartbeat_age(self) -> float:
        """Seconds since the group last heard of us and answered (0.0 where nobody can take over)."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why the membership ended by itself, None while it goes on."""
        ...

    async def leave(self) -> None:
        """Halt, keep nothing, leave the group. Not to be awaited inside a call to the member: it waits for that."""
        ...


class Tail(Protocol):
    """An endless read of some partitions without a group."""

    def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        """Batches, in order within each partition, until `close`."""
        ...

    def fetched_age(self) -> float:
        """Seconds since the log last answered a fetch, records or not (architecture §4.13)."""
        ...

    async def close(self) -> None:
        """End the iteration."""
        ...


class ReadableLog(Protocol):
    """The part of the port that changes nothing: all that `sluice tail` may do."""

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has; `Refused` if there is no such topic."""
        ...

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """The first offset that is still there, and the one that the next record will get."""
        ...

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """The same of many places at once: for a broker that is as little as of one."""
        ...

    def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """The records with start <= offset < end that are still there, in batches, then stop.

        Stops at the end of the partition too, where compaction or retention left nothing up to `end`.
        """
        ...

    def tail(self, topic: str, start: Mapping[int, int]) -> Tail:
        """Endless read of the given partitions, each from the given offset (from the first one, if that is gone)."""
        ...


class Log(ReadableLog, Protocol):
    """The port."""

    async def append(self, message: Message) -> int:
        """Append one record and return its offset once it cannot be lost (acks=all); `LogUnavailable` after 1 s.

        `Refused` for a record that its topic can never take.
        """
        ...

    async def join(self, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()) -> Membership:
        """Join a consumer group over topics with the same partition count; every member gets the same partition
        numbers of all of them (`Mismatched` if the counts differ). A partition without a committed offset starts at
        its beginning. Records of topics that are `unhurried` may come half a second later, many at once."""
        ...

    async def close(self) -> None:
        """Flush what was acknowledged, let go of everything."""
        ...
