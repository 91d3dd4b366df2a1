"""Keeps a worker at work: one that failed because something was away is replaced by a new one, which takes over anew."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from services.executor.common.ports import Aside
from shared.kernel.errors import Unavailable
from shared.messaging.log import LogClosed, TopicPartition

logger = logging.getLogger(__name__)
LOOK_S: Final = 0.1
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0


class Replaceable(Protocol):
    """What is kept at work: `services.executor.sessions.worker.Worker`."""

    assigned_once: bool

    @property
    def caught_up(self) -> bool: ...  # noqa: D102
    async def start(self) -> None: ...  # noqa: D102
    async def stop(self) -> None: ...  # noqa: D102
    def held(self) -> list[TopicPartition]: ...  # noqa: D102
    def mark(self, place: TopicPartition) -> int | None: ...  # noqa: D102
    def set_aside(self) -> list[Aside]: ...  # noqa: D102
    async def take_over_anew(self, number: int) -> None: ...  # noqa: D102
    @property
    def failure(self) -> BaseException | None: ...  # noqa: D102


class StayingWorker:
    """The worker of a process; `run` in a task for as long as the process lives.

    A failure that is no `Unavailable` (a mistake of ours) ends `run`, and the process with it.
    """

    def __init__(self, new: Callable[[], Replaceable]) -> None:
        self._new = new
        self._worker = new()
        self._away: Unavailable | None = None
        self._stopped = False

    async def start(self) -> None:
        """Join the group; where the log is away, `run` does that when it comes."""
        try:
            await self._worker.start()
        except Unavailable as away:
            self._away = away

    async def stop(self) -> None:
        """Leave the group, for good."""
        self._stopped = True
        await self._worker.stop()

    async def run(self) -> None:
        """Watch, and replace."""
        pause = FIRST_PAUSE_S
        while not self._stopped:
            await asyncio.sleep(LOOK_S)
            failure = self._failure
            if failure is None:
                pause = FIRST_PAUSE_S if self._worker.assigned_once else pause
                continue
            if not isinstance(failure, Unavailable) or isinstance(failure, LogClosed):
                raise failure
            logger.error("a new worker joins in %.1f s: %s %s", pause, failure.code, failure)
            await self._worker.stop()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            await self._replace()

    async def _replace(self) -> None:
        """Keeps the failed one in its place where the new one cannot join, so that the next look sees a failure still."""
        worker = self._new()
        try:
            await worker.start()
        except Unavailable as away:
            logger.warning("the group cannot be joined yet: %s", away)
            await worker.stop()
        else:
            self._worker, self._away = worker, None
            if self._stopped:  # meanwhile
                await worker.stop()

    @property
    def _failure(self) -> BaseException | None:
        return self._away or self._worker.failure

    @property
    def caught_up(self) -> bool:
        """See `Worker.caught_up`."""
        return self._worker.caught_up

    @property
    def joined(self) -> bool:
        """Whether the membership goes on."""
        return self._failure is None

    def held(self) -> list[TopicPartition]:
        """See `Worker.held`."""
        return self._worker.held()

    def mark(self, place: TopicPartition) -> int | None:
        """See `Worker.mark`."""
        return self._worker.mark(place)

    async def take_over_anew(self, number: int) -> None:
        """See `Worker.take_over_anew`."""
        await self._worker.take_over_anew(number)

    def set_aside(self) -> list[Aside]:
        """See `Worker.set_aside`."""
        return self._worker.set_aside()
