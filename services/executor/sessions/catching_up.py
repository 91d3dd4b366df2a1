"""Whether what is held of a partition is what its log has: asked before anything is said of a session that may be older."""

import asyncio
from typing import Final

from services.executor.sessions.journal import Journal
from shared.kernel.errors import Unavailable
from shared.messaging.log import Log, TopicPartition

CATCH_UP_S: Final = 1.0


class CatchingUp:
    """`Unavailable` if it cannot be said in time."""

    def __init__(self, log: Log, place: TopicPartition, journal: Journal) -> None:
        self._log = log
        self._place = place
        self._journal = journal

    async def account_for(self, session: str) -> None:
        """Wait until it is known what became of this session's transitions that were not acknowledged, or not read back, in time: what is
        said or decided before may be of an older session than the log's."""
        unread = self._journal.unread(session)
        late = [one.late for one in unread if one.late]
        if late and (await asyncio.wait(late, timeout=CATCH_UP_S))[1]:
            raise Unavailable("a transition of this session is not acknowledged yet")
        if unread:
            await self.catch_up()
            self._journal.lost(unread)

    async def catch_up(self) -> None:
        """Wait until all that the log has of this partition was read. What ends a transaction stands there, and is no record."""
        try:
            async with asyncio.timeout(CATCH_UP_S):
                _, end = await self._log.bounds(self._place)
                while self._journal.known < end:  # noqa: ASYNC110 - offsets are read by many, awaited by few
                    await asyncio.sleep(0.005)
        except TimeoutError:
            if await self._may_have_more():
                raise Unavailable("this session's state is behind") from None

    async def _may_have_more(self) -> bool:
        try:
            async with asyncio.timeout(CATCH_UP_S):
                _, end = await self._log.bounds(self._place)
                async for _ in self._log.read(self._place, self._journal.known, end):
                    return True
        except TimeoutError:
            return True
        return False
