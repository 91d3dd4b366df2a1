"""Reads of Kafka without a group: endless ones, and those from one offset to another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from shared.kernel.clock import Clock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.client import Heard, Moment, new_consumer, stop, to_records
from shared.messaging.log import LogUnavailable, Record

POLL_MS = 1_000
RETRY_S = 0.5
SILENCE_S = 10.0
FRESH_S = 3.0
"""So long a new consumer may be silent, whatever was before it: a broker holds its first fetch for a second, if there is nothing to be read."""

_log = logging.getLogger(__name__)


class KafkaTail:
    """An endless read; see `log.Tail`. A broker that is away is waited for: `fetched_age` tells."""

    def __init__(self, brokers: Brokers, clock: Clock, topic: str, start: Mapping[int, int]) -> None:
        self._brokers = brokers
        self._clock = clock
        self._heard = Heard(clock)
        self._connected = Moment(clock)
        self._positions = {TopicPartition(topic, number): offset for number, offset in start.items()}
        self._consumer: AIOKafkaConsumer | None = None
        self.closed = False
        self._failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[Record]]:
        """See `log.Tail.__aiter__`."""
        return self._batches()

    async def _batches(self) -> AsyncIterator[Sequence[Record]]:
        try:
            while not self.closed:
                records = await self._next()
                if records and not self.closed:
                    yield records
                await asyncio.sleep(0)  # a flood must not keep everybody else here from their turn
        finally:
            await self._drop()
        if self._failure is not None:
            raise self._failure

    async def _next(self) -> list[Record]:
        try:
            consumer = self._consumer or await self._connect()
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
        except ConsumerStoppedError:
            return []
        except (KafkaError, OSError, TimeoutError) as error:
            _log.warning("a tail of %s is interrupted: %r", sorted(self._positions), error)
            await self._drop()
            await asyncio.sleep(RETRY_S)
            return []
        for place, batch in fetched.items():
            self._positions[place] = batch[-1].offset + 1
        if not fetched and self._heard.fetched_age() > SILENCE_S and self._connected.age(self._clock) > FRESH_S:
            # its fetching may have died without a word; a new consumer also looks the brokers up anew
            await self._drop()
        return to_records(fetched)

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = new_consumer(self._brokers)
        self._heard.watch(consumer)
        self._consumer = consumer
        async with asyncio.timeout(SILENCE_S):
            await consumer.start()
        if self.closed:
            raise ConsumerStoppedError
        consumer.assign(list(self._positions))
        for place, offset in self._positions.items():
            consumer.seek(place, offset)
        self._connected = Moment(self._clock)
        return consumer

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop(consumer)

    def fetched_age(self) -> float:
        """See `log.Tail.fetched_age`."""
        return self._heard.fetched_age()

    async def close(self, failure: Exception | None = None) -> None:
        """See `log.Tail.close`; with a failure, the iteration raises it."""
        self.closed = True
        self._failure = self._failure or failure
        await self._drop()


async def read_range(brokers: Brokers, place: TopicPartition, start: int, end: int, clock: Clock) -> AsyncIterator[Sequence[Record]]:
    """The records with start <= offset < end, where both were within the partition's bounds when they were asked for.

    A log that has lost records since then may end before: what is there is read, and no more is waited for.
    """
    consumer = new_consumer(brokers)
    heard = Heard(clock)
    heard.watch(consumer)
    try:
        async with asyncio.timeout(SILENCE_S):
            await consumer.start()
        consumer.assign([place])
        consumer.seek(place, start)
        while start <= (at := await _position(consumer, place)) < end:
            fetched = to_records(await consumer.getmany(timeout_ms=POLL_MS))
            inside = [record for record in fetched if start <= record.offset < end]
            if inside:
                start = inside[-1].offset + 1
                yield inside
                await asyncio.sleep(0)  # as above
            elif heard.fetched_age() > SILENCE_S:
                raise LogUnavailable(f"the broker stopped answering a read of {place}")
            elif not fetched and (await consumer.end_offsets([place]))[place] <= at:
                return
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"a read of {place} failed: {error!r}") from error
    finally:
        await stop(consumer)


async def _position(consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
    """Where it goes on: below where it was, if the log has come to end before that and is begun anew. By itself it asks without an end."""
    async with asyncio.timeout(SILENCE_S):
        return int(await consumer.position(place))
