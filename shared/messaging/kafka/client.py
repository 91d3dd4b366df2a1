"""What we rely on inside aiokafka 0.14 beyond its public names, in one place, and the settings that all consumers share.

Both watched facts are read off the client's `send`, for aiokafka keeps them to itself: its heartbeat task holds the
time of the last good heartbeat in a local variable, and `last_poll_timestamp` is wall-clock time per partition. What
counts is when the answered request was *sent*: a process that was stopped for ten seconds must not take an answer
that waited in its socket for news.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from shared.kernel.clock import Clock
from shared.messaging.kafka import fetch_sessions, fetching, records
from shared.messaging.kafka import logging as kafka_logging
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.fetch_sessions import SessionFetcher, SessionRequest
from shared.messaging.log import Record

records.install()
fetching.install()
fetch_sessions.install()
kafka_logging.install()

# How long a broker holds a fetch that finds nothing. aiokafka keeps one in flight per broker, so a member's partition that is
# resumed waits until it has ended; a tail resumes nothing, and its idle fetches are most of what an idle edge costs.
MEMBER_WAIT_MS = 250
TAIL_WAIT_MS = 1_000
# How often a consumer with nothing new looks whether there is something to be fetched; seeking, resuming and reading wake it at once.
LOOK_AGAIN_MS = 1_000
SESSION_TIMEOUT_MS = 6_000
# by heartbeats a member learns that the group shares anew, and all others halt until it has: half of what a session may wait for that
HEARTBEAT_MS = 250
# how long the group waits for a member that is still revoking; longer than a hand-over, within a takeover of 10 s
REBALANCE_TIMEOUT_MS = 8_000


class Moment:
    """A moment, by both of the machine's clocks: one that was paused from outside may go on where it stood and learn the time later."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic, self._wall_us = clock.monotonic(), clock.now_us()

    def age(self, clock: Clock) -> float:
        """Seconds since then, by the clock that says more."""
        return max(clock.monotonic() - self._monotonic, (clock.now_us() - self._wall_us) / 1e6)

    def __lt__(self, other: "Moment") -> bool:
        return self._monotonic < other._monotonic


class Heard:
    """When a consumer last heard from the broker: the send time of the last fetch and heartbeat that were answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.fetch = self.heartbeat = Moment(clock)

    def fetched_age(self) -> float:
        """Seconds since the last answered fetch was sent."""
        return self.fetch.age(self._clock)

    def heartbeat_age(self) -> float:
        """Seconds since the last heartbeat was sent that the group answered as its member's."""
        return self.heartbeat.age(self._clock)

    def watch(self, consumer: AIOKafkaConsumer) -> None:
        """Note the answers that this consumer gets; to be called before it starts."""
        client: Any = consumer._client
        send = client.send

        async def watched(node_id: int, request: Any, *, group: Any = ConnectionGroup.DEFAULT) -> Any:
            sent = Moment(self._clock)
            response = await send(node_id, request, group=group)
            if isinstance(request, SessionRequest):
                if _all_served(response):
                    self.fetch = max(sent, self.fetch)
            elif isinstance(request, HeartbeatRequest | SyncGroupRequest) and response.error_code in _KNOWN:
                self.heartbeat = max(sent, self.heartbeat)
            return response

        client.send = watched


# a member that is told to rejoin is still one
_KNOWN = (NoError.errno, RebalanceInProgressError.errno)


def _all_served(response: Any) -> bool:
    refused = response.API_VERSION >= 7 and response.error_code != NoError.errno
    return not refused and all(one[1] == NoError.errno for _, partitions in response.topics for one in partitions)


def fetch_seldom(consumer: AIOKafkaConsumer, topics: frozenset[str]) -> None:
    """Have a consumer that was started ask for records of these topics now and then only."""
    fetcher: SessionFetcher = consumer._fetcher
    fetcher.seldom = topics


async def know_topics(consumer: AIOKafkaConsumer, topics: list[str]) -> None:
    """Fetch the topics' metadata before subscribing; learnt afterwards it would cause a second rebalance at once."""
    for topic in topics:
        await consumer._client._wait_on_metadata(topic)


def membership_of(consumer: AIOKafkaConsumer) -> tuple[str, int]:
    """The id by which the group knows this member, and the generation in which it was given its share."""
    coordinator = consumer._coordinator
    return str(coordinator.member_id), int(coordinator.generation)


def is_dead(producer: AIOKafkaProducer) -> bool:
    """Whether the producer's sending task has ended: it then takes records and never sends them."""
    task = producer._sender.sender_task
    return task is not None and task.done()


def new_consumer(brokers: Brokers, group: str | None = None, request_timeout_ms: int = 3_000) -> AIOKafkaConsumer:
    """A consumer with our settings: starts at the beginning, commits nothing by itself, shares by range."""
    return AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_uncommitted",
        fetch_max_wait_ms=MEMBER_WAIT_MS if group else TAIL_WAIT_MS,
        consumer_timeout_ms=LOOK_AGAIN_MS,
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
        request_timeout_ms=request_timeout_ms,
        metadata_max_age_ms=30_000,
        **brokers.client(),
    )


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, also one that has only just been started or never was.

    aiokafka cancels its tasks and awaits them; one that has not had its first turn yet raises the cancellation here.
    """
    await asyncio.sleep(0)
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        await consumer._client.close()


def to_records(fetched: Mapping[Any, Sequence[Record]]) -> list[Record]:
    """What `getmany` gives, which are our records already (`records.install`), in order within each partition."""
    return [one for batch in fetched.values() for one in batch]
