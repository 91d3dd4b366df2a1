"""A member of a Kafka consumer group, with the rebalance in our hands (architecture §4.1).

aiokafka's rebalance is eager: it revokes all, and assigns often the same again. The member is told what of it is the same, and goes on
with that at once (`share.Share`). aiokafka calls the listener from its coordination task and sends no heartbeat until
`on_partitions_assigned` returns. So that one only holds back what is new, and a task of ours has the member prepare it: a takeover of
seconds costs neither a heartbeat nor those sessions that stay.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from shared.kernel.clock import Clock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.client import fetch_seldom, know_topics, membership_of, new_consumer, stop, to_records
from shared.messaging.kafka.commits import Commits
from shared.messaging.kafka.delivery import Batch, Delivery
from shared.messaging.kafka.held import Share
from shared.messaging.log import GroupMember, LogUnavailable, Mismatched
from shared.messaging.log import TopicPartition as Place

START_S = 10.0
STOP_S = 5.0
# a member's join request waits for the others' revoking
REQUEST_TIMEOUT_MS = 12_000

_log = logging.getLogger(__name__)


class KafkaMembership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types for it
    """A member's hold on its group; see `log.Membership`."""

    def __init__(
        self, brokers: Brokers, clock: Clock, group: str, topics: Sequence[str], member: GroupMember, unhurried: Collection[str] = ()
    ) -> None:
        self._group = group
        self._member = member
        self._consumer = new_consumer(brokers, group, REQUEST_TIMEOUT_MS)
        self._unhurried = frozenset(unhurried)
        self._share = Share(topics)
        self._delivery = Delivery(self._consumer, clock, self._share, group)
        self._commits = Commits(self._consumer, group, self._share)
        self._calls = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self.ended = False

    async def start(self) -> None:
        """Connect and subscribe; the first call to the member comes after the caller's turn of the loop."""
        try:
            async with asyncio.timeout(START_S):
                await self._consumer.start()
                fetch_seldom(self._consumer, self._unhurried)
                await know_topics(self._consumer, sorted(self._share.topics))
        except BaseException as error:
            await stop(self._consumer)
            if isinstance(error, KafkaError | OSError | TimeoutError):
                raise LogUnavailable(f"group {self._group} cannot be joined: {error!r}") from error
            raise
        self._consumer.subscribe(sorted(self._share.topics), listener=self)
        self._pump_task = asyncio.create_task(self._pump(), name=f"member of {self._group}")

    # --- what aiokafka calls

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group rebalances: the member writes nothing before it knows what it keeps."""
        self._delivery.halt()
        async with self._calls:
            if self._share.held and not self.ended:
                await self._told(self._member.halted())

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """A new share: what is kept flows on, the rest is held back while the member prepares it, and heartbeats go on."""
        places = set(assigned)
        self._consumer.pause(*places)
        numbers = frozenset(place.partition for place in places)
        async with self._calls:
            if self.ended:
                return
            if len(places) != len(numbers) * len(self._share.topics):
                self._fail(Mismatched(f"group {self._group} was given {sorted(places)}"))
                return
            member, generation = membership_of(self._consumer)
            kept, new = self._share.shared_anew(numbers, member, generation)
            if not await self._told(self._member.kept(kept)) or self.ended:
                return
            self._delivery.go_on(kept)
        self._spawn(self._prepare(new, generation))

    # --- the member's calls

    async def _told(self, call: Coroutine[object, object, None]) -> bool:
        """Whether the member took it: whatever it raises ends its membership."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 - see above
            self._fail(error)
            return False
        return True

    async def _prepare(self, new: frozenset[int], generation: int) -> None:
        if not self.ended and await self._told(self._member.assigned(new)):
            self._delivery.let_flow(self._share.prepared(new, generation))

    async def _pump(self) -> None:
        try:
            while not self.ended:
                batch = await self._delivery.fetch()
                if batch.fetched:
                    await self._delivery.assured(batch)
                    await self._deliver(batch)
                await asyncio.sleep(0)  # where there is more at once, nothing else here would have its turn
        except ConsumerStoppedError:
            return
        except KafkaError as error:
            away = LogUnavailable(f"group {self._group}: {error!r}")
            away.__cause__ = error
            self._fail(away)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    async def _deliver(self, batch: Batch) -> None:
        async with self._calls:
            if self._delivery.is_of_now(batch) and not self.ended:
                self._share.handed_out(batch.fetched)
                await self._member.handle(to_records(batch.fetched))

    # --- the membership

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """See `log.Membership.commit`."""
        if not self.ended:
            await self._commits.commit(offsets)

    async def committed(self, place: Place) -> int | None:
        """See `log.Membership.committed`."""
        return await self._commits.committed(place)

    def pause(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.pause`."""
        self._share.paused |= partitions & self._share.held
        self._consumer.pause(*self._share.places(partitions & self._share.held))

    def resume(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.resume`."""
        self._share.paused -= partitions
        self._delivery.let_flow(partitions & self._share.held)

    def heartbeat_age(self) -> float:
        """See `log.Membership.heartbeat_age`."""
        return self._delivery.heard.heartbeat_age()

    @property
    def failure(self) -> BaseException | None:
        """See `log.Membership.failure`."""
        return self._failure

    async def leave(self) -> None:
        """See `log.Membership.leave`."""
        if self.ended:
            return
        self._delivery.halt()
        async with self._calls:
            held = bool(self._share.held)
            if held and await self._told(self._member.halted()):
                await self._told(self._member.kept(frozenset()))
            self._share.let_go()
            self.ended = True
        await self._stop()

    async def stop(self, failure: Exception) -> None:
        """The log closes under the member."""
        if not self.ended:
            self._failure = failure
            self.ended = True
            self._delivery.halt()
        await self._stop()

    # --- ends

    def _fail(self, error: BaseException) -> None:
        if self.ended:
            return
        _log.error("a member of group %s failed", self._group, exc_info=error)
        self._failure = error
        self.ended = True
        self._delivery.halt()
        self._share.let_go()
        self._spawn(self._stop())

    async def _stop(self) -> None:
        # not cancelled inside a call: whoever holds the lock finishes it first
        async with self._calls:
            if self._pump_task is not None:
                self._pump_task.cancel()
        try:
            async with asyncio.timeout(STOP_S):
                await stop(self._consumer)
        except (KafkaError, TimeoutError) as error:
            _log.warning("group %s was not left in order, it will notice by its session time-out: %r", self._group, error)
            await self._consumer._client.close()
        if self._pump_task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump_task

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(coroutine, name=f"rebalance of {self._group}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
