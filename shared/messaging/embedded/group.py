"""Consumer groups of the embedded log: several members in one process share partitions as on a broker.

Assignment is by range and rebalances are eager, as with Kafka, so that what runs on one log is not surprised by the
other: all members halt, then each is told what of its share it keeps, and what is new.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from shared.messaging.embedded.partition import Partition
from shared.messaging.embedded.subscription import Subscription
from shared.messaging.log import GroupMember, LogUnavailable, Mismatched, TopicPartition

HALT_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)

Note = Callable[[str, TopicPartition, int], None]


class Group:
    """The members of one group and its committed offsets."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        numbered: Mapping[str, Sequence[Partition]],
        note: Note,
        committed: Mapping[TopicPartition, int],
    ) -> None:
        self.name = name
        self.topics = frozenset(topics)
        self.committed = dict(committed)
        self.note = note
        self._numbered = {topic: numbered[topic] for topic in topics}
        counts = {len(partitions) for partitions in self._numbered.values()}
        if len(counts) != 1:
            raise Mismatched(f"group {name}: {sorted(topics)} have unlike partition counts")
        self._count = counts.pop()
        self._members: list[EmbeddedMembership] = []
        self._turn = asyncio.Lock()
        self._turns = 0

    def join(self, member: GroupMember, subscription: Subscription) -> "EmbeddedMembership":
        """Take in a member; the rebalance runs after the caller has got its membership."""
        membership = EmbeddedMembership(self, member, subscription)
        self._members.append(membership)
        membership.start()
        return membership

    async def rebalance(self) -> None:
        """Everybody halts, then everybody gets a range of the partition numbers."""
        async with self._turn:
            await asyncio.gather(*(one.halt() for one in self._members))
            self._members = [one for one in self._members if not one.ended]
            shares = self._ranges()
            await asyncio.gather(*(one.keep(numbers) for one, numbers in shares))
            self._turns += 1
            for one, numbers in shares:
                one.take_over(numbers, self._turns)

    async def without(self, membership: "EmbeddedMembership") -> None:
        """Go on without a member, if it still counts as one."""
        if membership in self._members:
            self._members.remove(membership)
            await self.rebalance()

    def partitions(self, numbers: frozenset[int]) -> list[tuple[Partition, int]]:
        """The partitions with these numbers, each with the offset that the group goes on from."""
        return [
            (partitions[number], self.committed.get(partitions[number].place, partitions[number].first))
            for partitions in self._numbered.values()
            for number in sorted(numbers)
        ]

    async def end(self, failure: Exception) -> None:
        """The log closes: no more calls to anybody."""
        for membership in list(self._members):
            await membership.stop(failure)
        self._members.clear()

    def _ranges(self) -> "list[tuple[EmbeddedMembership, frozenset[int]]]":
        """As Kafka's RangeAssignor: consecutive numbers, the first members get one more."""
        shares, start = [], 0
        for index, membership in enumerate(self._members):
            size = self._count // len(self._members) + (index < self._count % len(self._members))
            shares.append((membership, frozenset(range(start, start + size))))
            start += size
        return shares


class EmbeddedMembership:
    """A member's hold on its group; see `log.Membership`."""

    def __init__(self, group: Group, member: GroupMember, subscription: Subscription) -> None:
        self._group = group
        self._member = member
        self._subscription = subscription
        self._held: frozenset[int] = frozenset()
        self._calls = asyncio.Lock()
        self._since: dict[int, int] = {}  # the turn in which each number came
        self._task: asyncio.Task[None] | None = None
        self._preparing: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self.ended = False

    def start(self) -> None:
        """Begin, after the caller's turn of the loop."""
        self._task = asyncio.create_task(self._run(), name=f"member of {self._group.name}")

    async def _run(self) -> None:
        try:
            await self._group.rebalance()
            while await self._subscription.wait():
                async with self._calls:
                    batch = await self._subscription.take()
                    if batch:
                        await self._member.handle(batch)
        except Exception as error:  # noqa: BLE001 - whatever a member raises ends its membership, nobody else's
            self._fail(error)
        if self._failure is not None:
            await self._group.without(self)

    def _fail(self, error: BaseException) -> None:
        if not self.ended:
            _log.error("a member of group %s failed", self._group.name, exc_info=error)
            self._failure = error
        self._end()

    def _end(self) -> None:
        self.ended = True
        self._held = frozenset()
        self._subscription.close()

    async def halt(self) -> None:
        """Have the member write nothing; one that cannot stop within 10 s is failed and its task ended."""
        try:
            async with asyncio.timeout(HALT_TIMEOUT_S), self._calls:
                if not self.ended and self._held:
                    self._subscription.halt()
                    await self._member.halted()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(LogUnavailable("halting took too long") if isinstance(error, TimeoutError) else error)
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()

    async def keep(self, numbers: frozenset[int]) -> None:
        """Tell the member which of these it has had, and let them flow on."""
        async with self._calls:
            if self.ended:
                return
            self._held &= numbers
            try:
                await self._member.kept(self._held)
            except Exception as error:  # noqa: BLE001 - as above; its own task then gives the numbers back
                self._fail(error)
                return
            self._subscription.keep(self._held)

    def take_over(self, numbers: frozenset[int], turn: int) -> None:
        """Have the member prepare what is new to it, while what it kept goes on."""
        if self.ended:
            return
        new, self._held = numbers - self._held, numbers
        self._since |= dict.fromkeys(new, turn)
        task = asyncio.create_task(self._prepare(new, turn), name=f"rebalance of {self._group.name}")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _prepare(self, new: frozenset[int], turn: int) -> None:
        try:
            await self._member.assigned(new)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
            return
        ours = frozenset(number for number in new & self._held if self._since[number] == turn)
        for partition, start in self._group.partitions(ours):
            self._subscription.add(partition, start)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `log.Membership.commit`."""
        for place, offset in offsets.items():
            if place.partition in self._held and place.topic in self._group.topics:
                self._group.committed[place] = offset
                self._group.note(self._group.name, place, offset)

    async def committed(self, place: TopicPartition) -> int | None:
        """See `log.Membership.committed`."""
        return self._group.committed.get(place)

    def pause(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.pause`."""
        self._subscription.pause(partitions)

    def resume(self, partitions: frozenset[int]) -> None:
        """See `log.Membership.resume`."""
        self._subscription.resume(partitions)

    def heartbeat_age(self) -> float:
        """0.0: nobody outside this process can take over."""
        return 0.0

    @property
    def failure(self) -> BaseException | None:
        """See `log.Membership.failure`."""
        return self._failure

    async def leave(self) -> None:
        """See `log.Membership.leave`."""
        if self.ended:
            return
        await self.halt()
        await self.keep(frozenset())
        self._end()
        await self._group.without(self)

    async def stop(self, failure: Exception) -> None:
        """The log closes under the member."""
        if not self.ended:
            self._failure = failure
            self._end()
        left = [one for one in (self._task, *self._preparing) if one is not None and one is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
