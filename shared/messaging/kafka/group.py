"""A member of a Kafka consumer group, with the rebalance in our hands (architecture §4.1).

aiokafka's rebalance is eager: it revokes all, and assigns often the same again. The member is told what of it is the same, and goes on
with that at once (`share.Share`). aiokafka calls the listener from its coordination task and sends no heartbeat until
`on_partitions_assigned` returns. So that one only holds back what is new, and a task of ours has the member prepare it: a takeover of
seconds costs neither a heartbeat nor those sessions that stay.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError

from shared.kernel.clock import Clock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.client import (
    BATCH,
    HEARTBEAT_MS,
    SESSION_TIMEOUT_MS,
    Heard,
    know_topics,
    membership_of,
    new_consumer,
    stop,
    to_records,
)
from shared.messaging.kafka.share import Share
from shared.messaging.log import GroupMember, LogUnavailable, Mismatched, Record
from shared.messaging.log import TopicPartition as Place

POLL_MS = 1_000
ANSWER_S = 1.0
START_S = 10.0
STOP_S = 5.0
STALE_S = SESSION_TIMEOUT_MS / 2_000
# five session time-outs: longer than any rebalance, in which heartbeats are answered too
FORGOTTEN_S = SESSION_TIMEOUT_MS / 200
# a member's join request waits for the others' revoking
REQUEST_TIMEOUT_MS = 12_000

_log = logging.getLogger(__name__)


class KafkaMembership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types for it
    """A member's hold on its group; see `log.Membership`."""

    def __init__(self, brokers: Brokers, clock: Clock, group: str, topics: Sequence[str], member: GroupMember) -> None:
        self._group = group
        self._member = member
        self._consumer = new_consumer(brokers, group, REQUEST_TIMEOUT_MS)
        self._heard = Heard(clock)
        self._heard.watch(self._consumer)
        self._share = Share(topics)
        self._calls = asyncio.Lock()
        self._flowing = False
        self._epoch = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._alone_since = asyncio.get_running_loop().time()
        self.ended = False

    async def start(self) -> None:
        """Connect and subscribe; the first call to the member comes after the caller's turn of the loop."""
        try:
            async with asyncio.timeout(START_S):
                await self._consumer.start()
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
        self._flowing = False
        self._epoch += 1
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
            if not await self._told(self._member.kept(kept)):
                return
        for place, offset in self._share.positions().items():
            self._consumer.seek(place, offset)
        self._flowing = True
        self._let_flow(kept)
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
            self._let_flow(self._share.prepared(new, generation))

    def _let_flow(self, numbers: frozenset[int]) -> None:
        if self._flowing and not self.ended:
            self._consumer.resume(*self._share.places((numbers & self._share.ready) - self._share.paused))

    async def _pump(self) -> None:
        try:
            while not self.ended:
                fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
                # read in the turn in which the records were drained: later they may be somebody else's
                epoch = self._epoch
                self._refuse_forgotten()
                if deliverable := self._deliverable(fetched):
                    await self._deliver(deliverable, epoch)
        except ConsumerStoppedError:
            return
        except KafkaError as error:
            away = LogUnavailable(f"group {self._group}: {error!r}")
            away.__cause__ = error
            self._fail(away)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    async def _deliver(self, fetched: dict[TopicPartition, list[Record]], epoch: int) -> None:
        # a process that was stopped for a while holds records that may be somebody else's by now: first the group's word
        while self._heard.heartbeat_age() > STALE_S and epoch == self._epoch and not self.ended:
            self._refuse_forgotten()
            await asyncio.sleep(HEARTBEAT_MS / 10_000)
        async with self._calls:
            if epoch == self._epoch and not self.ended:
                self._share.handed_out(fetched)
                await self._member.handle(to_records(fetched))

    def _refuse_forgotten(self) -> None:
        """Seen once after a broker that died thrice in a minute: aiokafka's coordination stood still for ever, its fetching went on."""
        now = asyncio.get_running_loop().time()
        if self._heard.heartbeat_age() <= FORGOTTEN_S or self._heard.fetched_age() > STALE_S:
            self._alone_since = now
        elif now - self._alone_since > FORGOTTEN_S:
            raise LogUnavailable(f"group {self._group} has not answered for {FORGOTTEN_S:.0f} s, though its broker does")

    def _deliverable(self, fetched: dict[TopicPartition, list[Record]]) -> dict[TopicPartition, list[Record]]:
        """What was fetched before a pause goes back: `getmany` hands it out in spite of it."""
        flows = self._share.ready - self._share.paused if self._flowing else frozenset()
        for place in [one for one in fetched if one.partition not in flows]:
            batch = fetched.pop(place)
            with contextlib.suppress(IllegalStateError):  # it is not ours any more
                self._consumer.seek(place, batch[0].offset)
        return fetched

    # --- the membership

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """See `log.Membership.commit`."""
        ours = {
            TopicPartition(*place): offset
            for place, offset in offsets.items()
            if place.partition in self._share.held and place.topic in self._share.topics
        }
        if not ours or self.ended:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._consumer.commit(ours)
        except (CommitFailedError, IllegalStateError) as error:
            _log.info("group %s: a commit came too late, the records come again elsewhere: %r", self._group, error)
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"group {self._group}: a commit was not acknowledged: {error!r}") from error

    async def committed(self, place: Place) -> int | None:
        """See `log.Membership.committed`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                offset: int | None = await self._consumer.committed(TopicPartition(*place))
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"group {self._group}: no answer about its offsets: {error!r}") from error
        return offset

    def pause(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.pause`."""
        self._share.paused |= partitions & self._share.held
        self._consumer.pause(*self._share.places(partitions & self._share.held))

    def resume(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.resume`."""
        self._share.paused -= partitions
        self._let_flow(partitions & self._share.held)

    def heartbeat_age(self) -> float:
        """See `log.Membership.heartbeat_age`."""
        return self._heard.heartbeat_age()

    @property
    def failure(self) -> BaseException | None:
        """See `log.Membership.failure`."""
        return self._failure

    async def leave(self) -> None:
        """See `log.Membership.leave`."""
        if self.ended:
            return
        self._flowing = False
        self._epoch += 1
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
        await self._stop()

    # --- ends

    def _fail(self, error: BaseException) -> None:
        if self.ended:
            return
        _log.error("a member of group %s failed", self._group, exc_info=error)
        self._failure = error
        self.ended, self._flowing = True, False
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
