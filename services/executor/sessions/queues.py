"""The work of a partition's sessions: that of one session in order, that of several at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Job = Callable[[], Awaitable[None]]


class SessionQueues:
    """Queues that live as long as there is something in them. `failed` is told what a job raised, with which its queue ends."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._queues: dict[str, deque[Job]] = {}
        self._stopped = False
        self.tasks: set[asyncio.Task[None]] = set()

    def length(self, session: str) -> int:
        """How much of a session waits, what it is doing apart."""
        return len(self._queues.get(session, ()))

    def submit(self, session: str, job: Job) -> None:
        """Queue work of a session behind what it is doing."""
        if self._stopped:
            return
        queue = self._queues.get(session)
        if queue is not None:
            queue.append(job)
            return
        self._queues[session] = deque((job,))
        self.spawn(self._drain(session))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the queues, for as long as they live."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        """Drop all of it, take nothing more."""
        self._stopped = True
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _drain(self, session: str) -> None:
        queue = self._queues[session]
        try:
            while queue:
                await queue.popleft()()
        except Exception as error:  # noqa: BLE001 - told to who made the queues: what is queued comes again
            self._failed(error)
        finally:
            del self._queues[session]
