"""The log port on Apache Kafka, with aiokafka: what every service runs on in production (architecture §7)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPlace
from aiokafka.errors import KafkaError

from shared.contracts.topics import Topic
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.check import check as check_brokers
from shared.messaging.kafka.client import new_consumer, stop
from shared.messaging.kafka.group import KafkaMembership
from shared.messaging.kafka.producer import KafkaAppender
from shared.messaging.kafka.skew import ClockCheck
from shared.messaging.kafka.tail import KafkaTail, read_range
from shared.messaging.log import GroupMember, LogClosed, LogUnavailable, Message, Mismatched, Record, Refused, TopicPartition, check

ANSWER_S = 5.0


class KafkaLog:
    """The log port on a broker; see `log.Log`. Made by `open`, or without a broker yet: `reach` it then. `skewed` is told how far our clock
    is ahead of the broker's (`skew.ClockCheck`)."""

    def __init__(
        self, brokers: Brokers, topics: Mapping[str, Topic], clock: Clock, skewed: Callable[[float], None] = lambda _: None
    ) -> None:
        self._brokers = brokers
        self._topics = topics
        self._clock = clock
        self._appender = KafkaAppender(brokers, clock, ClockCheck(skewed))
        self._counts: dict[str, int] = {}
        self._looking: AIOKafkaConsumer | None = None
        self._looking_turn = asyncio.Lock()
        self._tails: set[KafkaTail] = set()
        self._members: set[KafkaMembership] = set()
        self._closed = False

    @classmethod
    async def open(cls, brokers: Brokers, topics: Mapping[str, Topic], clock: Clock | None = None) -> "KafkaLog":
        """Connect; `LogUnavailable` if no broker answers, `KafkaRefused` if they will not have us."""
        log = cls(brokers, topics, clock or SystemClock())
        await check_brokers(brokers)
        await log._appender.start()
        return log

    async def reach(self) -> None:
        """Connect, once; for who waits for brokers and then needs all topics.

        Raises:
            LogUnavailable: none answers now.
            KafkaRefused: waiting would not help; the text has the name and the reason.
        """
        await check_brokers(self._brokers, self._topics)
        await self._appender.start()

    async def append(self, message: Message) -> int:
        """See `log.Log.append`."""
        self._check_open()
        check(message, self._topics, await self._count(message.topic, message.partition))
        return await self._appender.append(message)

    async def partitions(self, topic: str) -> int:
        """See `log.ReadableLog.partitions`."""
        self._check_open()
        if topic not in self._topics:
            raise Refused(f"unknown topic {topic}")
        self._counts[topic] = await self._appender.partitions(topic)
        return self._counts[topic]

    async def bounds(self, place: TopicPartition) -> tuple[int, int]:
        """See `log.ReadableLog.bounds`."""
        return (await self.bounds_of([place]))[place]

    async def bounds_of(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """See `log.ReadableLog.bounds_of`."""
        self._check_open()
        if not places:
            return {}
        for place in places:
            await self._known(place)
        asked = [KafkaPlace(*place) for place in places]
        try:
            async with asyncio.timeout(ANSWER_S):
                consumer = await self._looker()
                first, following = await asyncio.gather(consumer.beginning_offsets(asked), consumer.end_offsets(asked))
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"the broker does not tell the bounds of {', '.join(map(str, places))}: {error!r}") from error
        return {place: (first[where], following[where]) for place, where in zip(places, asked, strict=True)}

    async def read(self, place: TopicPartition, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See `log.ReadableLog.read`."""
        first, following = await self.bounds(place)
        start, end = max(start, first), min(end, following)
        if start < end:
            async for records in read_range(self._brokers, KafkaPlace(*place), start, end, self._clock):
                yield records

    def tail(self, topic: str, start: Mapping[int, int]) -> KafkaTail:
        """See `log.ReadableLog.tail`."""
        self._check_open()
        if topic not in self._topics:
            raise Refused(f"unknown topic {topic}")
        self._tails = {one for one in self._tails if not one.closed}
        tail = KafkaTail(self._brokers, self._clock, topic, start)
        self._tails.add(tail)
        return tail

    async def join(self, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()) -> KafkaMembership:
        """See `log.Log.join`."""
        counts = {topic: await self.partitions(topic) for topic in topics}
        if len(set(counts.values())) != 1:
            raise Mismatched(f"group {group}: unlike partition counts {counts}")
        self._members = {one for one in self._members if not one.ended}
        membership = KafkaMembership(self._brokers, self._clock, group, topics, member, unhurried)
        await membership.start()
        self._members.add(membership)
        return membership

    async def close(self) -> None:
        """See `log.Log.close`."""
        if self._closed:
            return
        self._closed = True
        gone = LogClosed("the log is closed")
        await asyncio.gather(*(one.stop(gone) for one in self._members), *(one.close(gone) for one in self._tails if not one.closed))
        if self._looking is not None:
            await stop(self._looking)
        await self._appender.close()

    async def _count(self, topic: str, partition: int) -> int | None:
        """The broker's partition count, asked again when a partition beyond it is wanted: counts grow. `LogUnavailable` where a partition
        is not there that should be: the topic was made anew, too narrow, and its operator can mend that while we run."""
        if topic not in self._topics:
            return None
        if partition >= self._counts.get(topic, 0) and await self.partitions(topic) <= partition < self._topics[topic].partitions:
            raise LogUnavailable(f"the broker has no partition {partition} of {topic}, only {self._counts[topic]} of them")
        return self._counts[topic]

    async def _known(self, place: TopicPartition) -> None:
        count = await self._count(place.topic, place.partition)
        if count is None or not 0 <= place.partition < count:
            raise Refused(f"unknown partition {place}")

    async def _looker(self) -> AIOKafkaConsumer:
        """The consumer that is asked for bounds; it never fetches."""
        async with self._looking_turn:
            if self._looking is None:
                consumer = new_consumer(self._brokers)
                try:
                    await consumer.start()
                except BaseException:
                    await stop(consumer)
                    raise
                self._looking = consumer
            return self._looking

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed("the log is closed")
