"""Where one reader of the embedded log stands in each of its partitions, and its wake-up when there is more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from shared.messaging.embedded.partition import Partition
from shared.messaging.log import Record

BATCH = 500

Fetch = Callable[[Partition, int, int, int], Awaitable[list[Record]]]
"""Reads a partition's file: start, end (exclusive), limit."""


async def read_at(partition: Partition, start: int, limit: int, fetch: Fetch) -> tuple[list[Record], int]:
    """Up to `limit` records from `start` on, and the offset to go on from; nothing only at the partition's end.

    From the window in memory when it reaches back that far, else from the file through `fetch`.
    """
    start = max(start, partition.first)
    while start < partition.next:
        if start < partition.window_start:
            # compaction leaves gaps: nothing older in the file means to go on in the window
            border = partition.window_start
            records = await fetch(partition, start, border, limit)
            start = max(start, border)
        else:
            records = partition.recent(start, limit)
            start = partition.next
        if records:
            return records, records[-1].offset + 1
    return [], start


class Subscription:
    """Positions and readiness; one task at a time may wait and take."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._positions: dict[Partition, int] = {}
        self._ready: dict[Partition, None] = {}
        self._paused: set[int] = set()
        self._halted = False
        self._waiting: asyncio.Future[None] | None = None
        self.closed = False
        self.failure: Exception | None = None

    def add(self, partition: Partition, start: int) -> None:
        """Read this partition from an offset on."""
        self._positions[partition] = start
        partition.waiters.add(self)
        if start < partition.next:
            self.wake(partition)

    def halt(self) -> None:
        """Deliver nothing until it is known what is kept."""
        self._halted = True
        self._ready.clear()

    def keep(self, numbers: frozenset[int]) -> None:
        """Go on with these partition numbers where they stopped, and read nothing of all others."""
        for partition in [one for one in self._positions if one.place.partition not in numbers]:
            partition.waiters.discard(self)
            del self._positions[partition]
        self._halted = False
        self._ready.clear()
        self._paused &= numbers
        self.resume(numbers - self._paused)

    def close(self, failure: Exception | None = None) -> None:
        """End it; whoever waits is woken and told why."""
        self.keep(frozenset())
        self.closed = True
        self.failure = failure
        self._stir()

    def pause(self, numbers: frozenset[int]) -> None:
        """Deliver nothing of these partition numbers."""
        self._paused |= numbers
        for partition in [one for one in self._ready if one.place.partition in numbers]:
            del self._ready[partition]

    def resume(self, numbers: frozenset[int]) -> None:
        """Deliver them again."""
        self._paused -= numbers
        for partition, position in self._positions.items():
            if partition.place.partition in numbers and position < partition.next:
                self.wake(partition)

    def wake(self, partition: Partition) -> None:
        """See `Waiter.wake`."""
        if partition.place.partition not in self._paused and not self._halted:
            self._ready[partition] = None
            self._stir()

    def _stir(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> bool:
        """Until a partition has more; False when this has been closed, its `failure` raised if it has one."""
        while not self._ready and not self.closed:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if self.failure is not None:
            raise self.failure
        return not self.closed

    async def take(self) -> list[Record]:
        """The next batch, in order within each partition; empty if pausing or closing came between."""
        batch: list[Record] = []
        for partition in list(self._ready):
            if len(batch) >= BATCH:
                break
            if partition not in self._ready:
                continue
            records, position = await read_at(partition, self._positions[partition], BATCH - len(batch), self._fetch)
            if partition not in self._ready:  # paused or closed while the file was read
                continue
            batch += records
            self._positions[partition] = position
            # the one just served goes behind those that wait
            del self._ready[partition]
            if position < partition.next:
                self._ready[partition] = None
        return batch


class EmbeddedTail:
    """An endless read without a group; see `log.Tail`."""

    def __init__(self, subscription: Subscription, monotonic: Callable[[], float]) -> None:
        self._subscription = subscription
        self._monotonic = monotonic
        self._closed_at: float | None = None

    async def _batches(self) -> AsyncIterator[list[Record]]:
        while await self._subscription.wait():
            batch = await self._subscription.take()
            if batch:
                yield batch

    def __aiter__(self) -> AsyncIterator[list[Record]]:
        return self._batches()

    def fetched_age(self) -> float:
        """0.0 as long as the log is open: an append is seen at once or not at all."""
        if not self._subscription.closed:
            return 0.0
        self._closed_at = self._monotonic() if self._closed_at is None else self._closed_at
        return self._monotonic() - self._closed_at

    async def close(self) -> None:
        """See `log.Tail.close`."""
        self._subscription.close()
