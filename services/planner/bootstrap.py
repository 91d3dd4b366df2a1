"""The planner, put together: the only file that knows all its parts."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.planner.adapters.catalog import FollowedCatalog
from services.planner.adapters.stream.member import GROUP, READS, PlannerMember
from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from services.planner.domain.composition import Composer
from services.planner.settings import Settings
from shared.contracts.topics import DEFINITIONS
from shared.flows.registry import registry
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.joining import stay_joined
from shared.messaging.log import Log
from shared.messaging.projection import Projection
from shared.telemetry.lag import watch_lag
from shared.telemetry.metrics import count_dead_letter

NAME: Final = "planner"
READY_S: Final = 30.0
DRAIN_S: Final = 2.0


async def build(settings: Settings, log: Log, clock: Clock) -> "PlannerService":
    """The planner on this log."""
    dead_letters = DeadLetters(log, NAME, clock, count_dead_letter)
    catalog = FollowedCatalog()
    definitions = Projection(log, DEFINITIONS, catalog.apply, dead_letters, clock)
    planner = Planner(catalog, Composer(catalog.definitions, registry().stages), clock)
    member = PlannerMember(log, planner, Locator(catalog, clock), dead_letters, clock)
    return PlannerService(log, definitions, member)


class PlannerService:
    """See `shared.kernel.service.Service`."""

    name = NAME

    def __init__(self, log: Log, definitions: Projection, member: PlannerMember) -> None:
        self._log = log
        self._definitions = definitions
        self._member = member
        self._chores: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Read the definitions to their end, then join: a plan made on half of them would be wrong."""
        await self._definitions.start()
        await self._definitions.wait_ready(READY_S)
        self._chores = (
            asyncio.create_task(stay_joined(self._log, GROUP, READS, self._member), name="planner membership"),
            asyncio.create_task(self._member.committing(), name="planner commits"),
            asyncio.create_task(watch_lag(self._log, GROUP, self._member.held, self._member.mark), name="planner lag"),
        )

    async def stop(self) -> None:
        """Answer what is in hand, hand the partitions over, let go of the topics."""
        await self._member.drain(DRAIN_S)
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores = ()
        await self._definitions.stop()

    def routes(self) -> Iterable[Any]:
        """None: nobody talks to the planner over HTTP."""
        return ()

    def readiness(self) -> Mapping[str, bool]:
        """`caught_up`: the definitions are read to their end; `log`: the membership goes on."""
        return {"caught_up": self._definitions.ready.is_set(), "log": bool(self._chores) and self._member.is_joined}

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself."""
        ended = (chore.exception() for chore in self._chores if chore.done() and not chore.cancelled())
        return self._definitions.failure or next((error for error in ended if error is not None), None)
