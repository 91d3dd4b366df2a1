"""A log whose records prove their writers: what every process on Kafka holds instead of the bare log (architecture §2)."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

from shared.contracts.errors import BadProof
from shared.messaging.log import GroupMember, Log, Membership, Message, Record, Tail, TopicPartition
from shared.messaging.proof import Proofs


class ProvedLog:
    """See `log.Log`: signs what is appended; what is read knows who can tell whether its writer may be believed, and codecs do ask.

    Nothing but tombstones is verified before somebody asks: most of what comes by is for others, and a header tells that.
    """

    def __init__(self, log: Log, proofs: Proofs) -> None:
        self._log = log
        self._proofs = proofs

    @property
    def signer(self) -> str:
        """The key that this process signs with."""
        return self._proofs.signer

    async def append(self, message: Message) -> int:
        """See `log.Log.append`; `Refused` for a topic that this service does not write."""
        return await self._log.append(self._proofs.signed(message))

    async def partitions(self, topic: str) -> int:
        """See `log.ReadableLog.partitions`."""
        return await self._log.partitions(topic)

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """See `log.ReadableLog.bounds`."""
        return await self._log.bounds(place)

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """See `log.ReadableLog.bounds_of`."""
        return await self._log.bounds_of(places)

    async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `log.ReadableLog.read`."""
        async for records in self._log.read(place, start, end):
            yield self._provable(records)

    def tail(self, topic: str, start: Mapping[int, int]) -> "_ProvedTail":
        """See `log.ReadableLog.tail`."""
        return _ProvedTail(self._log.tail(topic, start), self._provable)

    async def join(self, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()) -> Membership:
        """See `log.Log.join`."""
        return await self._log.join(group, topics, _ProvedMember(member, self._provable), unhurried)

    async def close(self) -> None:
        """See `log.Log.close`."""
        await self._log.close()

    def _provable(self, records: Sequence[Record]) -> list[Record]:
        return [
            Record(one.topic, one.partition, one.offset, one.timestamp_ms, one.key, self._value(one), one.headers, self._proofs)
            for one in records
        ]

    def _value(self, record: Record) -> bytes | None:
        """A tombstone has nothing to decode, so nobody would ask for its proof: one without is given out as a value that no codec takes."""
        if record.value is not None:
            return record.value
        try:
            self._proofs.check(record)
        except BadProof:
            return b""
        return None


def signer_of(log: Log) -> str:
    """The key that what is appended here is signed with; "" where the log has one writer and nothing is signed."""
    return log.signer if isinstance(log, ProvedLog) else ""


class _ProvedTail:
    """See `log.Tail`."""

    def __init__(self, tail: Tail, provable: Callable[[Sequence[Record]], list[Record]]) -> None:
        self._tail = tail
        self._provable = provable

    async def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        async for records in self._tail:
            yield self._provable(records)

    def fetched_age(self) -> float:
        return self._tail.fetched_age()

    async def close(self) -> None:
        await self._tail.close()


class _ProvedMember:
    """See `log.GroupMember`."""

    def __init__(self, member: GroupMember, provable: Callable[[Sequence[Record]], list[Record]]) -> None:
        self._member = member
        self._provable = provable

    async def halted(self) -> None:
        await self._member.halted()

    async def kept(self, partitions: frozenset[int]) -> None:
        await self._member.kept(partitions)

    async def assigned(self, partitions: frozenset[int]) -> None:
        await self._member.assigned(partitions)

    async def handle(self, records: Sequence[Record]) -> None:
        await self._member.handle(self._provable(records))
