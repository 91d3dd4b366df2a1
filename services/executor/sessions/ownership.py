"""What an owner writes, it writes through here: only while its partitions are its own for certain (architecture §4.1)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from shared.messaging.log import Message

LOOK_S: Final = 0.05
HALT_S: Final = 1.5
"""Longer than the log takes to say that it does not acknowledge (architecture §4.14)."""


class Appending(Protocol):
    """Where it goes: `log.Log`."""

    async def append(self, message: Message) -> int: ...  # noqa: D102


class Ownership:
    """A worker's hold on what it owns. Nothing is written while the group shares its partitions anew, or may have given ours away because
    it has not heard of us (`alive` is false): that waits, and either goes on or is dropped with its partition."""

    def __init__(self, log: Appending, alive: Callable[[], bool]) -> None:
        self._log = log
        self._alive = alive
        self._free = asyncio.Event()
        self._free.set()
        self._writing = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def assured(self) -> None:
        """Wait until nobody else can own what we own."""
        while not (self._free.is_set() and self._alive()):
            await self._free.wait()
            if not self._alive():
                await asyncio.sleep(LOOK_S)  # the group tells of heartbeats by their age only

    async def append(self, message: Message) -> int:
        """See `log.Log.append`."""
        await self.assured()
        self._writing += 1
        self._quiet.clear()
        try:
            return await self._log.append(message)
        finally:
            self._writing -= 1
            if not self._writing:
                self._quiet.set()

    async def halt(self) -> None:
        """Write nothing from now on; returns when the log has answered what is under way, or does not."""
        self._free.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(HALT_S):
                await self._quiet.wait()

    def go_on(self) -> None:
        """What is held is ours still."""
        self._free.set()
