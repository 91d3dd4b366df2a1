"""The policy service, put together: the only file that knows all its parts."""

from collections.abc import Mapping

from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.adapters.stream.member import GROUP, PolicyMember
from services.policy.application.decide import Decide
from services.policy.settings import Settings
from shared.contracts.topics import DEFINITIONS
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Log
from shared.messaging.projection import Projection
from shared.runtime.answering_service import AnsweringService
from shared.telemetry.metrics import count_dead_letter


async def build(settings: Settings, log: Log, clock: Clock) -> "PolicyService":
    """The policy service on this log."""
    dead_letters = DeadLetters(log, GROUP, clock, count_dead_letter)
    definitions = Definitions()
    limits = Limits(settings.policy_time_limit_ms / 1000, settings.policy_memory_limit_mib * 1024 * 1024)
    workers = Workers(settings.policy_workers, limits)
    member = PolicyMember(log, Decide(definitions, workers, clock), dead_letters, clock)
    return PolicyService(log, Projection(log, DEFINITIONS, definitions.apply, dead_letters, clock), workers, member)


class PolicyService(AnsweringService):
    """Answers with the help of a sandbox: before that runs, every answer were an error."""

    def __init__(self, log: Log, definitions: Projection, workers: Workers, member: PolicyMember) -> None:
        super().__init__(GROUP, log, definitions, member)
        self._workers = workers

    async def start(self) -> None:
        """Start the sandbox, then the rest."""
        await self._workers.start()
        await super().start()

    async def stop(self) -> None:
        """Stop the rest, then the sandbox."""
        await super().stop()
        await self._workers.stop()

    def readiness(self) -> Mapping[str, bool]:
        """Also `sandbox`: workers are there."""
        return {**super().readiness(), "sandbox": self._workers.ready}
