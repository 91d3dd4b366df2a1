"""The replies to this edge's steps: its partition of `executor.replies`, read from the end, by command.

Many edges share a partition; what is for another one, or for nobody any more, is dropped (architecture §2).
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from shared.contracts.envelope import causation_of
from shared.contracts.steps import CODEC, StepReplied
from shared.contracts.topics import REPLIES
from shared.kernel.errors import SluiceError, Unavailable, why
from shared.kernel.tasks import failure_of
from shared.messaging.log import Log, Record, Tail, TopicPartition
from shared.telemetry.metrics import count_dead_letter
from shared.web.errors import later

RETRY_S: Final = 0.5
MAX_AGE_S: Final = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A reply and how many bytes it took."""

    reply: StepReplied
    size: int


Waiting = asyncio.Future[Arrived]


class Replies:
    """Hands replies to who waits for them. At most `limit` wait at a time."""

    def __init__(self, log: Log, edge: str, partition: int, limit: int) -> None:
        self._log = log
        self._edge = edge
        self._place = TopicPartition(REPLIES, partition)
        self._limit = limit
        self._waiting: dict[str, list[Waiting]] = defaultdict(list)
        self._count = 0
        self._next: int | None = None
        self._tail: Tail | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def partition(self) -> int:
        """Where replies to this edge have to go."""
        return self._place.partition

    @property
    def listening(self) -> bool:
        """Whether replies arrive: a step that is asked for now would be answered."""
        return self._tail is not None and self._tail.fetched_age() <= MAX_AGE_S

    @property
    def failure(self) -> BaseException | None:
        """Why listening ended by itself, which it never should."""
        return failure_of(self._task)

    async def start(self) -> None:
        """Listen from now on. Where the log is away, nothing is asked until it comes."""
        with suppress(Unavailable):
            await self._open()
        self._task = asyncio.create_task(self._listen(), name="edge replies")

    async def stop(self) -> None:
        """Stop listening; whoever still waits is left to their time-out."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # why it ended is `failure`, and told already
        if self._tail is not None:
            await self._tail.close()
            self._tail = None

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

    async def _open(self) -> Tail:
        """Begin at the end of the partition, or go on where it broke off."""
        if self._next is None:
            _, self._next = await self._log.bounds(self._place)
        self._tail = self._log.tail(self._place.topic, {self.partition: self._next})
        return self._tail

    async def _listen(self) -> None:
        while True:
            try:
                async for records in self._tail or await self._open():
                    for record in records:
                        self._next = record.offset + 1
                        self._hand_out(record)
            except (Unavailable, OSError) as away:
                _log.warning("replies cannot be read: %s", type(away).__name__)
            except SluiceError:
                _log.exception("replies cannot be read")
            self._tail = None
            await asyncio.sleep(RETRY_S)

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
            for waiting in self._waiting.get(body.command, ()):
                if not waiting.done():
                    waiting.set_result(Arrived(body, len(record.value or b"")))
