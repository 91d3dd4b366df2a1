"""The four real services on one log, each with its own keys as on Kafka: people log in, and what proving costs is counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

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
from shared.messaging.embedded import EmbeddedLog
from shared.messaging.log import Message, Record, TopicPartition
from shared.messaging.proof import Proofs, mac_keys
from shared.messaging.proved import ProvedLog
from shared.postgres.server import EmbeddedPostgres
from shared.runtime.listener import Listener, readiness
from tests.e2e.visitor import Visitor
from tests.fixtures_patience import PATIENT_S
from tests.signing import KEYS, SECRET, trusted

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery-9317"
CLOCK = SystemClock()
SIGNATURES: Final = 9
VERIFICATIONS: Final = 6
MACS: Final = 20
"""At most of a log-in, which takes 7, 4 and 15. At 27 us a signature, 68 a verification and 9 a MAC that is 0.6 ms, 0.02 of a hash (33 ms)."""


class Counting(Proofs):
    """Notes what was made and what was verified."""

    seen: ClassVar[Counter[str]] = Counter()

    def signed(self, message: Message) -> Message:
        self.seen["macs" if WRITERS[message.topic].proof == "mac" else "signatures"] += 1
        return super().signed(message)

    def check(self, record: Record) -> None:
        self.seen["macs" if WRITERS[record.topic].proof == "mac" else "verifications"] += 1
        super().check(record)


class Signed:
    """What runs, and where."""

    def __init__(self, url: str, bare: EmbeddedLog) -> None:
        self.url = url
        self.bare = bare

    async def log_in(self) -> str:
        answer = await asyncio.to_thread(Visitor(self.url).log_in, "akadmin", PASSWORD)
        return str(answer["component"])

    async def dead_letters(self) -> int:
        return (await self.bare.bounds(TopicPartition(DEAD_LETTERS, 0)))[1]


@pytest.fixture
async def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Signed]:
    monkeypatch.setenv("SLUICE_TEST", "1")
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(tmp_path / "postgres")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        bare = await EmbeddedLog.open(TOPICS)
        stack.push_async_callback(bare.close)

        def log(service: Service) -> ProvedLog:
            return ProvedLog(bare, Counting(trusted(), CLOCK, KEYS[service], mac_keys([SECRET]) if service == "executor" else ()))

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
        yield Signed(f"http://{common['listen']}", bare)


async def test_people_log_in_and_proving_it_costs_a_twentieth_of_a_hash(signed: Signed) -> None:
    assert await signed.log_in() == "xak-flow-redirect"
    await asyncio.sleep(0)
    Counting.seen.clear()
    for _ in range(3):
        assert await signed.log_in() == "xak-flow-redirect"
    seen = {what: count / 3 for what, count in Counting.seen.items()}

    assert seen["signatures"] <= SIGNATURES, seen
    assert seen["verifications"] <= VERIFICATIONS, seen
    assert seen["macs"] <= MACS, seen
    assert await signed.dead_letters() == 0


async def test_with_every_topic_written_to_by_a_stranger_people_log_in(signed: Signed) -> None:
    copied = []
    assert await signed.log_in() == "xak-flow-redirect"
    for topic in TOPICS.values():
        for number in range(topic.partitions):
            place = TopicPartition(topic.name, number)
            async for records in signed.bare.read(place, 0, 10_000):
                copied += [Message(topic.name, (one.partition + 1) % topic.partitions, one.key, one.value, one.headers) for one in records]
                copied += [Message(topic.name, one.partition, one.key, (one.value or b"")[:-1], one.headers) for one in records]
                copied += [Message(topic.name, one.partition, one.key, one.value, one.headers[:-1]) for one in records if one.value]
    for message in copied:
        if message.value is not None:
            await signed.bare.append(message)
    for _ in range(3):
        assert await signed.log_in() == "xak-flow-redirect"
