"""A service that answers the records of its group by the catalog's definitions: planner and policy are two of these."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from shared.kernel.tasks import failure_of
from shared.messaging.answering import AnsweringMember
from shared.messaging.joining import stay_joined
from shared.messaging.log import Log
from shared.messaging.projection import Projection
from shared.telemetry.lag import watch_lag

DRAIN_S: Final = 2.0


class AnsweringService:
    """See `shared.kernel.service.Service`. Its name is its group's."""

    def __init__(self, name: str, log: Log, definitions: Projection, member: AnsweringMember) -> None:
        self.name = name
        self._log = log
        self._definitions = definitions
        self._member = member
        self._chores: tuple[asyncio.Task[None], ...] = ()

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Nothing beside the log."""
        return {}

    async def start(self) -> None:
        """Begin to read the definitions; the group is joined once that is done."""
        await self._definitions.start()
        self._chores = (
            asyncio.create_task(self._answer(), name=f"{self.name} membership"),
            asyncio.create_task(self._member.committing(), name=f"{self.name} commits"),
            asyncio.create_task(watch_lag(self._log, self.name, self._member.held, self._member.mark), name=f"{self.name} lag"),
        )

    async def _answer(self) -> None:
        # An answer from half of the definitions would be wrong.
        await self._definitions.ready.wait()
        await stay_joined(self._log, self.name, self._member.reads, self._member)

    async def stop(self) -> None:
        """Answer what is in hand, hand the partitions over, let go of the topics."""
        await self._member.drain(DRAIN_S)
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores = ()
        await self._definitions.stop()
        await self._member.close()

    def routes(self) -> Iterable[Any]:
        """None: nobody talks to it over HTTP."""
        return ()

    def readiness(self) -> Mapping[str, bool]:
        """`caught_up`: the definitions are read to their end; `log`: the membership goes on."""
        return {"caught_up": self._definitions.ready.is_set(), "log": bool(self._chores) and self._member.is_joined}

    def notes(self) -> Mapping[str, object]:
        """See `Service.notes`."""
        return {}

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself."""
        return self._definitions.failure or failure_of(*self._chores)
