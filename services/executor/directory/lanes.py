"""Threads that hash, with admission before them: "busy" is said at once instead of "wait" for ever.

A hash whose visitor has gone is work for nobody and makes the others late in turn, so as many are let in as are done within
the wait, at the pace of lately.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from services.executor.common.ports import Busy
from shared.kernel.clock import Clock

WAIT_S: Final = 1.0
"""How long a password may wait for its hash, as far as one can tell at admission: an answer has to come within 2 s."""

ObserveWait = Callable[[float], None]
"""Takes the seconds between admission to the threads and the start of the hash."""


class Lane:
    """Some threads and their places. Made once, closed with the process; `first_guess_s` is what a hash may take here."""

    def __init__(
        self, name: str, clock: Clock, workers: int, first_guess_s: float, observe_wait: ObserveWait, waiting: int | None = None
    ) -> None:
        self._workers = workers
        self._waiting = waiting
        self._lately_s = first_guess_s
        self._taken = 0
        self._clock = clock
        self._observe_wait = observe_wait
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for some hashes, one after the other; `Busy` when it would have to wait too long."""
        if self._taken >= self._places():
            raise Busy
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def _places(self) -> int:
        # As many as are done within the wait at the pace of lately: what a hash takes is the machine's to say.
        waiting = int(self._workers * WAIT_S / self._lately_s) if self._waiting is None else self._waiting
        return self._workers + waiting

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._threads.shutdown(cancel_futures=True)

    async def run(self, verify_or_hash: Callable[[], "bool | str"]) -> "bool | str":
        """Run one piece of hashing on a thread."""
        asked = self._clock.monotonic()

        def work() -> tuple["bool | str", float]:
            began = self._clock.monotonic()
            self._observe_wait(began - asked)
            return verify_or_hash(), self._clock.monotonic() - began

        done, took_s = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._lately_s += (max(took_s, 0.001) - self._lately_s) / 8
        return done
