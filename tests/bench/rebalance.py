"""How long sessions wait while a worker joins or leaves in good order: `python -m tests.bench.rebalance`.

A real cluster, and one visitor for each partition who asks the owner for the state every `EVERY_S`. For each turn, the longest time
that one of their questions took: of those whose owner stayed, and of those whose session moved.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest.mock import patch

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from deploy.cluster import Cluster
from services.executor.settings import Settings
from shared.contracts import topics
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope, causation_of
from shared.contracts.steps import StepRequested
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_session_id, random_id
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import Log, LogUnavailable, Message, TopicPartition
from shared.messaging.proved import ProvedLog
from shared.runtime.environment import load
from shared.runtime.proving import proofs_of
from tests.bench.takeover import fill

EVERY_S: Final = 0.04
SETTLED_S: Final = 6.0
REPLIES: Final = 11
"""The partition of replies that the visitors read; an edge of the cluster may have it too, and drops what is not its own."""


@dataclass
class Visitors:
    """One for each partition. `waits` has, by partition, when a question was asked and how long its answer took."""

    log: Log
    clock: SystemClock
    waits: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: {n: [] for n in range(topics.SESSION_PARTITIONS)})
    _asked: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def ask_on(self) -> None:
        """Ask for ever; run it as a task."""
        _, end = await self.log.bounds(TopicPartition(topics.REPLIES, REPLIES))
        reading = asyncio.create_task(self._read(end))
        sessions = [new_session_id(n) for n in range(topics.SESSION_PARTITIONS)]
        sending: set[asyncio.Task[None]] = set()
        try:
            while True:
                for number, session in enumerate(sessions):
                    task = asyncio.create_task(self._ask(number, session))
                    sending.add(task)
                    task.add_done_callback(sending.discard)
                await asyncio.sleep(EVERY_S)
        finally:
            reading.cancel()

    async def _ask(self, number: int, session: str) -> None:
        command, now = random_id(), self.clock.now_us()
        step = StepRequested(
            command=command, kind="state", session=session, made_us=now, rotation=0, flow="default-authentication-flow", received_us=now,
            deadline_us=now + 60_000_000, reply_partition=REPLIES, edge="bench",
        )  # fmt: skip
        envelope = Envelope(
            id=command, type=step.wire_type, version=step.wire_version, source="executor.edge/bench", subject=session, time_us=now,
            correlation=session,
        )  # fmt: skip
        headers, value = encode(envelope, step)
        self._asked[command] = number, time.monotonic()
        with suppress(LogUnavailable):
            await self.log.append(Message(topics.STEPS, number, session.encode(), value, headers))

    async def _read(self, start: int) -> None:
        async for batch in self.log.tail(topics.REPLIES, {REPLIES: start}):
            for record in batch:
                if (asked := self._asked.pop(causation_of(record.headers) or "", None)) is not None:
                    self.waits[asked[0]].append((asked[1], time.monotonic() - asked[1]))

    def longest(self, number: int, since: float) -> float:
        """Of the questions asked since then, answered or not."""
        open_ = [time.monotonic() - at for n, at in self._asked.values() if n == number and at >= since]
        return max([wait for at, wait in self.waits[number] if at >= since] + open_, default=0.0)


async def owners(bootstrap: str) -> dict[int, str]:
    """Who owns each partition, by the group's own word."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = (await admin.describe_consumer_groups(["executor"]))[0]
        found: dict[int, str] = {}
        for _, _, _, _, members in ((g[1], g[2], g[3], g[4], g[5]) for g in answer.groups):
            for member in members:
                if member[-1]:
                    for topic, numbers in ConsumerProtocolMemberAssignment.decode(member[-1]).assignment:
                        if topic == topics.STEPS:
                            found |= dict.fromkeys(numbers, member[0])
        return found
    finally:
        await admin.close()


async def settled(bootstrap: str) -> dict[int, str]:
    """The owners, once every partition has one."""
    while len(found := await owners(bootstrap)) < topics.SESSION_PARTITIONS:  # noqa: ASYNC110 -- the broker does not tell
        await asyncio.sleep(0.2)
    return found


def log_of(cluster: Cluster) -> Log:
    """The log as an executor of the cluster has it."""
    with patch.dict(os.environ, cluster.settings_of("executor")):
        settings, clock = load(Settings), SystemClock()
    brokers = settings.brokers()
    assert brokers
    return ProvedLog(KafkaLog(brokers, topics.TOPICS, clock), proofs_of("executor", settings, clock))


async def measured(cluster: Cluster, rounds: int, sessions: int) -> None:
    """One worker more and one less, so many times."""
    log = log_of(cluster)
    await fill(log.append, sessions)
    visitors = Visitors(log, SystemClock())
    asking = asyncio.create_task(visitors.ask_on())
    await asyncio.sleep(SETTLED_S)
    print(f"at rest: longest {max(visitors.longest(n, 0.0) for n in visitors.waits):.3f} s", flush=True)
    for n in range(rounds):
        for what in ("joins", "leaves"):
            before, since = await settled(cluster.broker.bootstrap), time.monotonic()
            if what == "joins":
                member = cluster.add("executor", f"extra{n}", ("--role", "worker"))
                await asyncio.to_thread(member.wait_ready)
            else:
                await asyncio.to_thread(cluster.remove, f"extra{n}")
            took = time.monotonic() - since
            await asyncio.sleep(SETTLED_S)
            after = await settled(cluster.broker.bootstrap)
            stayed = [visitors.longest(k, since) for k in visitors.waits if before[k] == after[k]]
            moved = [visitors.longest(k, since) for k in visitors.waits if before[k] != after[k]]
            print(f"a worker {what} ({took:.1f} s): {told('stayed', stayed)}; {told('moved', moved)}", flush=True)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await log.close()


def told(what: str, waits: Sequence[float]) -> str:
    """The longest waits of some sessions."""
    if not waits:
        return f"none {what}"
    ranked = sorted(waits)
    return f"{len(ranked)} {what}: median {ranked[len(ranked) // 2]:.2f} s, longest {ranked[-1]:.2f} s"


def main() -> None:
    """Measure, and print."""
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--sessions", type=int, default=0)
    options = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-rebalance") as folder:
        cluster = Cluster(Path(folder) / "cluster", {"SLUICE_UNPROVEN_SESSIONS": "200000"}, quick_start=True)
        cluster.start()
        try:
            cluster.add("executor", "second", ("--role", "worker")).wait_ready()
            asyncio.run(measured(cluster, options.rounds, options.sessions))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
