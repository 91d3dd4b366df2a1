"""A log whose ends are watched: what is acknowledged below an end that was there before tells that the log has lost records (architecture §4.15)."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from shared.messaging.log import GroupMember, Log, LogUnavailable, Membership, Message, Record, Tail, TopicPartition


class WatchedLog:
    """See `log.Log`: the same, and `lost` has the partitions in which a record was put where another one had been: what was known, and
    what is there. `doubted` has those that did not acknowledge a record: whether they lost some, and grew over that, only who wrote them all
    could tell. Give it to whoever appends and lives long; what else is known of ends comes by `seen`, or by `fell`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._ends: dict[TopicPartition, int] = {}
        self.lost: dict[TopicPartition, tuple[int, int]] = {}
        self.doubted: set[TopicPartition] = set()

    def known(self, place: TopicPartition) -> int:
        """How far the partition has reached, as far as this process knows."""
        return self._ends.get(place, 0)

    def seen(self, place: TopicPartition, end: int) -> None:
        """The partition reaches so far, or further by now."""
        self._ends[place] = max(self.known(place), end)

    def fell(self, place: TopicPartition, end: int) -> None:
        """The partition has lost records, and ends here."""
        self._ends[place] = end

    async def append(self, message: Message) -> int:
        """See `log.Log.append`."""
        place = TopicPartition(message.topic, message.partition)
        before = self.known(place)
        try:
            offset = await self._log.append(message)
        except LogUnavailable as away:
            self.doubted.add(place)
            if away.late is not None:
                away.late.add_done_callback(lambda late: None if late.cancelled() else self._came(place, before, late.result()))
            raise
        self._came(place, before, offset)
        return offset

    def _came(self, place: TopicPartition, before: int, offset: int) -> None:
        """A record stands here that was appended when the partition was known to reach so far."""
        if 0 <= offset < before:  # -1: the broker does not say where
            self.lost.setdefault(place, (before, offset))
            self.fell(place, offset)
        self.seen(place, offset + 1)

    async def partitions(self, topic: str) -> int:
        """See `log.ReadableLog.partitions`."""
        return await self._log.partitions(topic)

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """See `log.ReadableLog.bounds`."""
        return await self._log.bounds(place)

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """See `log.ReadableLog.bounds_of`."""
        return await self._log.bounds_of(places)

    def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `log.ReadableLog.read`."""
        return self._log.read(place, start, end)

    def tail(self, topic: str, start: Mapping[int, int]) -> Tail:
        """See `log.ReadableLog.tail`."""
        return self._log.tail(topic, start)

    async def join(self, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()) -> Membership:
        """See `log.Log.join`."""
        return await self._log.join(group, topics, member, unhurried)

    async def close(self) -> None:
        """See `log.Log.close`."""
        await self._log.close()
