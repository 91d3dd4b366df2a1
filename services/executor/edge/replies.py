"""The replies to this edge's steps, by command: its partition of `executor.replies`, read from the end, and what a worker of this
process hands over.

Many edges share a partition; what is for another one, or for nobody any more, is dropped (architecture §2).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from shared.contracts.envelope import causation_of
from shared.contracts.steps import CODEC, StepReplied
from shared.contracts.topics import REPLIES
from shared.kernel.errors import why
from shared.messaging.listening import Listening
from shared.messaging.log import Log, Record, TopicPartition
from shared.telemetry.metrics import count_dead_letter
from shared.web.errors import later

MAX_AGE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A reply and how many bytes it took; None if it has not been on the way."""

    reply: StepReplied
    size: int | None


Waiting = asyncio.Future[Arrived]


class Replies:
    """Hands replies to who waits for them. At most `limit` wait at a time."""

    def __init__(self, log: Log, edge: str, partition: int, limit: int) -> None:
        self._edge = edge
        self._place = TopicPartition(REPLIES, partition)
        self._limit = limit
        self._waiting: dict[str, list[Waiting]] = defaultdict(list)
        self._count = 0
        self._following = Listening(log, self._place, self._hand_out)

    @property
    def partition(self) -> int:
        """Where replies to this edge have to go."""
        return self._place.partition

    @property
    def listening(self) -> bool:
        """Whether replies arrive: a step that is asked for now would be answered."""
        return self._following.is_fresh(MAX_AGE_S)

    @property
    def failure(self) -> BaseException | None:
        """Why listening ended by itself, which it never should."""
        return self._following.failure

    async def start(self) -> None:
        """Listen from now on. Where the log is away, nothing is asked until it comes."""
        await self._following.start()

    async def stop(self) -> None:
        """Stop listening; whoever still waits is left to their time-out."""
        await self._following.stop()

    @contextmanager
    def expect(self, command: str) -> Iterator[Waiting]:
        """A future for the reply to this command, to be made before the step is written."""
        if not self.listening:
            raise later("replies_away")
        if self._count >= self._limit:
            raise later("edge_full")
        waiting: Waiting = asyncio.get_running_loop().create_future()
        self._waiting[command].append(waiting)
        self._count += 1
        try:
            yield waiting
        finally:
            self._count -= 1
            left = self._waiting[command]
            left.remove(waiting)
            if not left:
                del self._waiting[command]

    def hand_over(self, reply: StepReplied) -> bool:
        """Take a reply from a worker of this process; False if it is another edge's (see `ports.AtHome`)."""
        if reply.edge != self._edge:
            return False
        self._settle(Arrived(reply, None))
        return True

    def _hand_out(self, record: Record) -> None:
        answered = causation_of(record.headers)
        if answered is not None and answered not in self._waiting:
            return
        try:
            body = CODEC.decode(record).body
        except Exception as error:  # noqa: BLE001 - a record must not end the listening; what comes by here is anybody's, so it is only counted
            count_dead_letter(record.topic, why(error)[0])
            return
        if isinstance(body, StepReplied) and body.edge == self._edge:
            self._settle(Arrived(body, len(record.value or b"")))

    def _settle(self, arrived: Arrived) -> None:
        for waiting in self._waiting.get(arrived.reply.command, ()):
            if not waiting.done():
                waiting.set_result(arrived)
