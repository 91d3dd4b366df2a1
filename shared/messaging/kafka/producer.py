"""Appends to Kafka: idempotent, acks=all, and with an answer within a second whatever the broker does."""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from shared.kernel.clock import Clock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.client import is_dead
from shared.messaging.kafka.skew import ClockCheck
from shared.messaging.log import LogClosed, LogUnavailable, Message, Refused

APPEND_TIMEOUT_S = 1.0
START_TIMEOUT_S = 10.0
MAX_REQUEST_BYTES = 2 * 1024 * 1024
LOG_APPEND_TIME = 1

_log = logging.getLogger(__name__)


class KafkaAppender:
    """A producer that is replaced when it cannot go on.

    An idempotent producer whose batch was refused for good has a gap in its sequence and is refused ever after; one
    whose sending task died takes records and never sends them. Both are left for a new one.
    """

    def __init__(self, brokers: Brokers, clock: Clock, clocks: ClockCheck) -> None:
        self._brokers = brokers
        self._clock = clock
        self._clocks = clocks
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Connect; `LogUnavailable` if the broker does not answer."""
        await self._current()

    async def append(self, message: Message) -> int:
        """See `log.Log.append`."""
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(APPEND_TIMEOUT_S):
                producer = await self._current()
                return await self._send(producer, message, sent)
        except TimeoutError as error:
            late = _offset_of(sent[0]) if sent else None
            raise LogUnavailable(f"the broker did not acknowledge a record for {message.topic} in time", late) from error

    async def partitions(self, topic: str) -> int:
        """The broker's partition count, asked for anew: counts grow."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                producer = await self._current()
                await producer.client.force_metadata_update()
                return len(await producer.partitions_for(topic))
        except (TimeoutError, KafkaError) as error:
            raise LogUnavailable(f"the broker does not know topic {topic}: {error!r}") from error

    async def close(self) -> None:
        """Send what was taken, then let go."""
        self._closed = True
        if self._producer is not None:
            self._leave(self._producer)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def _send(self, producer: AIOKafkaProducer, message: Message, sent: list[asyncio.Future[Any]]) -> int:
        sent_us = self._clock.now_us()
        try:
            if message.partition not in await producer.partitions_for(message.topic):  # it would be an AssertionError
                raise LogUnavailable(f"the broker has no partition {message.partition} of {message.topic} any more")
            future = await producer.send(
                message.topic, message.value, message.key, partition=message.partition, headers=list(message.headers)
            )
            # the record stays in its batch when the caller gives up, and so must its future, which nobody awaits then
            future.add_done_callback(_observe)
            sent.append(future)
            done = await asyncio.shield(future)
            if done.timestamp_type == LOG_APPEND_TIME:
                self._clocks.answered(sent_us, self._clock.now_us(), done.timestamp)
            return int(done.offset)
        except MessageSizeTooLargeError as error:
            self._replace(producer, error)  # the brokers' word, whose limit is lower than ours, leaves a gap too
            raise Refused(f"a record too large for {message.topic}") from error
        except TopicAuthorizationFailedError as error:
            raise LogUnavailable(f"the broker lets us write nothing to {message.topic}") from error
        except KafkaError as error:
            if not error.retriable:
                self._replace(producer, error)
            raise LogUnavailable(f"the broker did not take a record for {message.topic}: {error!r}") from error

    async def _current(self) -> AIOKafkaProducer:
        if self._producer is not None and not is_dead(self._producer):
            return self._producer
        async with self._starting:
            if self._closed:
                raise LogClosed("the log is closed")
            if self._producer is not None and is_dead(self._producer):
                self._replace(self._producer, None)
            if self._producer is None:
                self._producer = await self._started()
            return self._producer

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            request_timeout_ms=2_000,
            retry_backoff_ms=50,
            max_request_size=MAX_REQUEST_BYTES,
            metadata_max_age_ms=30_000,
            **self._brokers.client(),
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await producer.start()
        except BaseException as error:
            await producer.client.close()
            producer._closed = True
            if isinstance(error, KafkaError | TimeoutError | OSError):
                raise LogUnavailable(f"no broker at {self._brokers.servers}: {error!r}") from error
            raise
        return producer

    def _replace(self, producer: AIOKafkaProducer, error: KafkaError | None) -> None:
        if self._producer is producer:
            _log.error("the Kafka producer cannot go on and is replaced", exc_info=error)
            self._producer = None
            self._leave(producer)

    def _leave(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_stop(producer), name="stop Kafka producer")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _offset_of(record: asyncio.Future[Any]) -> asyncio.Future[int]:
    """Where a record comes to stand that nobody waits for any more."""
    offset: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            offset.cancel()
        elif not offset.done():
            offset.set_result(int(done.result().offset))

    record.add_done_callback(tell)
    return offset


def _observe(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await producer.stop()
    except (TimeoutError, KafkaError) as error:
        _log.warning("a Kafka producer was let go with records not acknowledged: %r", error)
        await producer.client.close()
