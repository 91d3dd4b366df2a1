"""A planner on a log in memory, somebody who asks it, and a policy service that answers as a script says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.planner.bootstrap import build
from services.planner.settings import Settings
from shared.contracts import planner, policy
from shared.contracts.codec import Received, encode
from shared.contracts.definitions import BrandBody, FlowBody, StageBody
from shared.contracts.envelope import Envelope
from shared.contracts.failures import CODEC as FAILURES
from shared.contracts.failures import RecordRefused
from shared.contracts.model import Contract
from shared.contracts.planner import FlowRequested, PlanRequested
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.contracts.topics import DEAD_LETTERS, PLAN_REQUESTS, PLANS, POLICY_REQUESTS, VERDICTS
from shared.kernel.clock import SystemClock
from shared.kernel.ids import partition_of
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Membership, Message, Record, TopicPartition
from shared.runtime.answering_service import AnsweringService
from tests.signing import opened
from tests.unit.planner.support import SESSION, ScriptedPolicy, records

WAIT_S = 60.0
CLOCK = SystemClock()


@dataclass
class Bench:
    log: EmbeddedLog
    service: AnsweringService

    async def publish(self, *bodies: FlowBody | StageBody | BrandBody, version: int = 1) -> None:
        for record in records(*bodies, version=version):
            await self.log.append(Message(record.topic, 0, record.key, record.value, record.headers))

    async def ask(self, asked: PlanRequested | FlowRequested, *, partition: int | None = None, traceparent: str | None = None) -> None:
        envelope = Envelope(
            f"e-{asked.request}", asked.wire_type, asked.wire_version, "executor/worker", asked.session, CLOCK.now_us(),
            correlation="conversation", traceparent=traceparent,
        )  # fmt: skip
        headers, value = encode(envelope, asked)
        place = partition_of(asked.session) if partition is None else partition
        await self.log.append(Message(PLAN_REQUESTS, place, asked.session.encode(), value, headers))

    async def answers(self, count: int = 1, session: str = SESSION) -> list[Received[Contract]]:
        found = await self.wait_for(PLANS, count, partition_of(session))
        return [planner.CODEC.decode(record) for record in found]

    async def refused(self, count: int = 1) -> list[RecordRefused]:
        bodies = [FAILURES.decode(record).body for record in await self.wait_for(DEAD_LETTERS, count, 0)]
        return [body for body in bodies if isinstance(body, RecordRefused)]

    async def wait_for(self, topic: str, count: int, partition: int) -> list[Record]:
        """The records of a partition, once there are so many."""
        async with asyncio.timeout(WAIT_S):
            while len(found := await self.everything(topic, partition)) < count:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.005)
        return found

    async def everything(self, topic: str, partition: int) -> list[Record]:
        place = TopicPartition(topic, partition)
        first, end = await self.log.bounds(place)
        return [record async for batch in self.log.read(place, first, end) for record in batch]

    async def another(self) -> AnsweringService:
        service = await build(Settings(), self.log, CLOCK)
        await service.start()
        return service


@asynccontextmanager
async def running(*bodies: FlowBody | StageBody | BrandBody) -> AsyncIterator[Bench]:
    log = await opened()
    service = await build(Settings(), log, CLOCK)
    bench = Bench(log, service)
    await bench.publish(*bodies)
    await service.start()
    async with asyncio.timeout(WAIT_S):
        while not service.readiness()["log"]:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0)
    yield bench
    await service.stop()
    await log.close()


@dataclass
class Answerer:
    """A group member that answers `policy.requests`; `change` may make something else of a verdict, or several."""

    log: EmbeddedLog
    script: ScriptedPolicy
    change: Callable[[VerdictReached], Sequence[VerdictReached]] = lambda verdict: (verdict,)
    seen: list[Received[Contract]] = field(default_factory=list)

    async def halted(self) -> None: ...

    async def kept(self, partitions: frozenset[int]) -> None: ...

    async def assigned(self, partitions: frozenset[int]) -> None: ...

    async def handle(self, batch: Sequence[Record]) -> None:
        for record in batch:
            received = policy.CODEC.decode(record)
            self.seen.append(received)
            assert isinstance(received.body, VerdictRequested)
            for n, verdict in enumerate(self.change(self.script.reached(received.body))):
                cause = received.envelope
                envelope = Envelope(
                    f"v{n}-{cause.id}", verdict.wire_type, 1, "policy", cause.subject, CLOCK.now_us(), traceparent=cause.traceparent
                )
                headers, value = encode(envelope, verdict)
                await self.log.append(Message(VERDICTS, record.partition, record.key, value, headers))

    async def join(self) -> Membership:
        return await self.log.join("policy", (POLICY_REQUESTS,), self)
