"""The policy service, put together: the only file that knows all its parts."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.adapters.stream.member import GROUP, READS, PolicyMember
from services.policy.application.decide import Decide
from services.policy.settings import Settings
from shared.contracts.topics import DEFINITIONS
from shared.flows.definitions import Definitions
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.joining import stay_joined
from shared.messaging.log import Log
from shared.messaging.projection import Projection
from shared.telemetry.lag import watch_lag
from shared.telemetry.metrics import count_dead_letter

NAME: Final = "policy"
READY_S: Final = 30.0
DRAIN_S: Final = 2.0


async def build(settings: Settings, log: Log, clock: Clock) -> "PolicyService":
    """The policy service on this log."""
    dead_letters = DeadLetters(log, NAME, clock, count_dead_letter)
    definitions = Definitions()
    limits = Limits(settings.policy_time_limit_ms / 1000, settings.policy_memory_limit_mib * 1024 * 1024)
    workers = Workers(settings.policy_workers, limits)
    member = PolicyMember(log, Decide(definitions, workers, clock), dead_letters, clock)
    return PolicyService(log, Projection(log, DEFINITIONS, definitions.apply, dead_letters, clock), workers, member)


class PolicyService:
    """See `shared.kernel.service.Service`."""

    name = NAME

    def __init__(self, log: Log, definitions: Projection, workers: Workers, member: PolicyMember) -> None:
        self._log = log
        self._definitions = definitions
        self._workers = workers
        self._member = member
        self._chores: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Start the sandbox and read the definitions to their end, then join: before that, every answer were an error."""
        await self._definitions.start()
        await self._workers.start()
        await self._definitions.wait_ready(READY_S)
        self._chores = (
            asyncio.create_task(stay_joined(self._log, GROUP, READS, self._member), name="policy membership"),
            asyncio.create_task(self._member.committing(), name="policy commits"),
            asyncio.create_task(watch_lag(self._log, GROUP, self._member.held, self._member.mark), name="policy lag"),
        )

    async def stop(self) -> None:
        """Answer what is in hand, hand the partitions over, let go of processes and topics."""
        await self._member.drain(DRAIN_S)
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores = ()
        await self._definitions.stop()
        await self._workers.stop()

    def routes(self) -> Iterable[Any]:
        """None: nobody talks to policy over HTTP."""
        return ()

    def readiness(self) -> Mapping[str, bool]:
        """`caught_up`: the definitions are read to their end; `sandbox`: workers are there; `log`: the membership goes on."""
        return {
            "caught_up": self._definitions.ready.is_set(),
            "sandbox": self._workers.ready,
            "log": bool(self._chores) and self._member.is_joined,
        }

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself."""
        ended = (chore.exception() for chore in self._chores if chore.done() and not chore.cancelled())
        return self._definitions.failure or next((error for error in ended if error is not None), None)
