"""The four real services in this process on one log, each with its own keys as on Kafka, and what goes through them counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.child import free_port
from services.catalog import bootstrap as catalog
from services.catalog.settings import Settings as CatalogSettings
from services.executor import bootstrap as executor
from services.executor.administration import administration
from services.executor.settings import Settings as ExecutorSettings
from services.planner import bootstrap as planner
from services.planner.settings import Settings as PlannerSettings
from services.policy import bootstrap as policy
from services.policy.settings import Settings as PolicySettings
from shared.contracts.topics import DEAD_LETTERS, TOPICS
from shared.contracts.writers import WRITERS, Service
from shared.kernel.clock import SystemClock
from shared.kernel.service import Service as Running
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record, TopicPartition
from shared.messaging.proof import Proofs, mac_keys
from shared.messaging.proved import ProvedLog
from shared.runtime.listener import Listener, readiness
from sluice.embedded_postgres.server import EmbeddedPostgres
from tests.e2e.visitor import Visitor
from tests.fixtures_patience import PATIENT_S
from tests.signing import KEYS, SECRET, trusted

PASSWORD: Final = "correct-horse-battery-9317"
CLOCK: Final = SystemClock()


class CountingProofs(Proofs):
    """Notes what was made and what was verified, and how many records were appended, by topic."""

    def __init__(self, seen: Counter[str], *known: Any) -> None:
        super().__init__(*known)
        self._seen = seen

    def signed(self, message: Message) -> Message:
        """See `Proofs.signed`."""
        self._seen["MACs" if WRITERS[message.topic].proof == "mac" else "signatures"] += 1
        self._seen[f"records of {message.topic}"] += 1
        return super().signed(message)

    def check(self, record: Record) -> None:
        """See `Proofs.check`."""
        self._seen["MACs" if WRITERS[record.topic].proof == "mac" else "verifications"] += 1
        super().check(record)


@dataclass(frozen=True, slots=True)
class SignedServices:
    """What runs, and where; `seen` counts proofs and records."""

    url: str
    bare: EmbeddedLog
    seen: Counter[str]

    async def log_in(self) -> str:
        """Log somebody in with a fresh cookie jar; what the last answer is."""
        answer = await asyncio.to_thread(Visitor(self.url).log_in, "akadmin", PASSWORD)
        return str(answer["component"])

    async def dead_letters(self) -> int:
        """How many there are."""
        return (await self.bare.bounds(TopicPartition(DEAD_LETTERS, 0)))[1]


@asynccontextmanager
async def signed_services(folder: Path) -> AsyncIterator[SignedServices]:
    """All four, ready, with an administrator. Wants `SLUICE_TEST=1` in the environment, for a hash that costs nothing."""
    seen: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        bare = await EmbeddedLog.open(TOPICS)
        stack.push_async_callback(bare.close)

        def log(service: Service) -> ProvedLog:
            return ProvedLog(
                bare, CountingProofs(seen, trusted(), CLOCK, KEYS[service], mac_keys([SECRET]) if service == "executor" else ())
            )

        common: dict[str, Any] = {"listen": f"127.0.0.1:{free_port()}", "metrics_listen": "off"}
        roots = ExecutorSettings.model_validate(
            {**common, "database": postgres.dsn_for("executor"), "secret_key": SECRET.decode(), "hash_test_cost": True}
        )
        services: list[Running] = [
            await catalog.build(CatalogSettings.model_validate({**common, "database": postgres.dsn_for("catalog")}), log("catalog"), CLOCK),
            await policy.build(PolicySettings.model_validate({**common, "policy_workers": 1}), log("policy"), CLOCK),
            await planner.build(PlannerSettings.model_validate(common), log("planner"), CLOCK),
            await executor.build(roots, log("executor"), CLOCK),
        ]
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        listener = Listener(services, roots, CLOCK)
        stack.push_async_callback(listener.stop)
        await listener.start()
        async with asyncio.timeout(PATIENT_S):
            while not all(readiness(services).values()):  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.01)
        async with administration(postgres.dsn_for("executor"), roots) as users:
            await users.ensure_admin(password=PASSWORD, token=None, email="")
        yield SignedServices(f"http://{common['listen']}", bare, seen)
