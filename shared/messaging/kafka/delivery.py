"""What a group's member is handed of what its consumer fetches: nothing from before a rebalance, nothing of what is held back, and
nothing while the group may have forgotten it."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from shared.kernel.clock import Clock
from shared.messaging.kafka.client import HEARTBEAT_MS, SESSION_TIMEOUT_MS, Heard
from shared.messaging.kafka.held import Share
from shared.messaging.log import LogUnavailable, Record

POLL_MS = 1_000
STALE_S = SESSION_TIMEOUT_MS / 2_000
# five session time-outs: longer than any rebalance, in which heartbeats are answered too
FORGOTTEN_S = SESSION_TIMEOUT_MS / 200


@dataclass(frozen=True, slots=True)
class Batch:
    """What was fetched in one turn, and under which rebalance."""

    fetched: Mapping[TopicPartition, Sequence[Record]]
    epoch: int


class Delivery:
    """Holds the consumer's partitions back, or lets them flow; `share` says which of them may. To be made before the consumer starts."""

    def __init__(self, consumer: AIOKafkaConsumer, clock: Clock, share: Share, group: str) -> None:
        self._consumer = consumer
        self._share = share
        self._group = group
        self._flowing = False
        self._epoch = 0
        self._alone_since = asyncio.get_running_loop().time()
        self.heard = Heard(clock)
        self.heard.watch(consumer)

    def halt(self) -> None:
        """Let nothing flow, and take what was fetched until now for old."""
        self._flowing = False
        self._epoch += 1

    def go_on(self, kept: frozenset[int]) -> None:
        """After a rebalance: what is kept goes on where it stood, and what is let flow from now on flows."""
        for place, offset in self._share.positions().items():
            self._consumer.seek(place, offset)
        self._flowing = True
        self.let_flow(kept)

    def let_flow(self, numbers: frozenset[int]) -> None:
        """Those of these partitions that are ready, and that the member has not paused."""
        if self._flowing:
            self._consumer.resume(*self._share.places((numbers & self._share.ready) - self._share.paused))

    async def fetch(self) -> Batch:
        """The next records; none after a while without any. `LogUnavailable` from a group that has forgotten its member."""
        fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
        # read in the turn in which the records were drained: later they may be somebody else's
        epoch = self._epoch
        self._refuse_forgotten()
        return Batch(self._deliverable(fetched), epoch)

    async def assured(self, batch: Batch) -> None:
        """Wait until the group has said lately that we are its member, or shares anew: a process that was stopped for a while holds records
        that may be somebody else's by now."""
        while self.heard.heartbeat_age() > STALE_S and self.is_of_now(batch):
            self._refuse_forgotten()
            await asyncio.sleep(HEARTBEAT_MS / 10_000)

    def is_of_now(self, batch: Batch) -> bool:
        """Whether the group has not shared anew since these records were fetched."""
        return batch.epoch == self._epoch

    def _refuse_forgotten(self) -> None:
        """Seen once after a broker that died thrice in a minute: aiokafka's coordination stood still for ever, its fetching went on."""
        now = asyncio.get_running_loop().time()
        if self.heard.heartbeat_age() <= FORGOTTEN_S or self.heard.fetched_age() > STALE_S:
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
