"""How long until a restarted Sluice is ready that has many answered sessions: `python -m tests.bench.takeover`.

Embedded, and one executor over Kafka (`--only kafka`). The sessions are answered ones as a login leaves them half-way, 2 KiB of
folded state each; they are written as their owner writes them. The time is from the command to ready.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from unittest.mock import patch

from deploy.cluster import Cluster
from services.executor.sessions.lifetime import ends_us
from services.executor.settings import Settings
from shared.contracts import topics
from shared.contracts.codec import encode
from shared.contracts.definitions import FlowFacts, Guard
from shared.contracts.envelope import Envelope
from shared.contracts.people import Visitor
from shared.contracts.planner import BrandFacts, Plan, PlannedStage
from shared.contracts.states import RunState, SessionState, key_of
from shared.contracts.steps import View
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_session_id, partition_of, random_id
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import LogUnavailable, Message
from shared.messaging.proved import ProvedLog
from shared.runtime.environment import load
from shared.runtime.proving import proofs_of
from tests.bench import proc
from tests.e2e.sluice_process import SluiceUp

SESSIONS: Final = 100_000
SIZE: Final = 2048
OWNER: Final = random_id()
"""Who has written all of them."""
AT_ONCE: Final = 200
FLOW: Final = FlowFacts(
    pk="5b8a", slug="default-authentication-flow", name="Welcome", title="Welcome to authentik!", designation="authentication"
)
Append = Callable[[Message], Awaitable[int]]


def state(partition: int, now_us: int) -> Message:
    """One session's state as its owner writes it."""
    session, run = new_session_id(partition), random_id()
    guard = Guard(target="b", bindings=())
    stages = tuple(
        PlannedStage(binding=random_id(), stage=random_id(), name=f"default-{kind}", type=kind, config={}, guard=guard)
        for kind in ("password", "authenticator_validate", "user_login")
    )
    plan = Plan(flow=FLOW, definition="h" * 64, brand=BrandFacts(pk="b", domain="d", title="t"), stages=())
    view = View(kind="challenge", flow=FLOW, title=FLOW.title, component="ak-stage-password", fields={}, person="somebody")
    one = RunState(
        run=run, flow=FLOW.slug, plan=plan, visitor=Visitor(address="192.0.2.1", user_agent="Mozilla/5.0"), stages=stages, view=view,
        head=random_id(), version=1, started_us=now_us, context={"pending_user_identifier": "x"},
    )  # fmt: skip
    folded = SessionState(session=session, version=1, head=one.head, started_us=now_us, last_us=now_us, runs=(one,), began=(run,))
    folded = folded.model_copy(update={"due_us": ends_us(folded), "unproven": True, "transitions": 1})
    key = key_of(session, OWNER)
    envelope = Envelope(
        id=f"{one.head}.1", type=folded.wire_type, version=folded.wire_version, source="executor", subject=key, time_us=now_us,
        subject_version=1, causation=one.head, correlation=session,
    )  # fmt: skip
    headers, value = encode(envelope, folded)
    if len(value) < SIZE:
        padded = one.model_copy(update={"context": {"pending_user_identifier": "x" * (SIZE - len(value))}})
        headers, value = encode(envelope, folded.model_copy(update={"runs": (padded,)}))
    return Message(topics.STATE, partition_of(session), key.encode(), value, headers)


async def fill(append: Append, count: int) -> None:
    """Write so many sessions."""
    now_us = SystemClock().now_us()

    async def insisted(message: Message) -> None:
        while True:
            try:
                await append(message)
            except LogUnavailable:  # a broker on a busy machine: a state twice is one state
                await asyncio.sleep(1)
            else:
                return

    for n in range(0, count, AT_ONCE):
        await asyncio.gather(*(insisted(state(k % topics.SESSION_PARTITIONS, now_us)) for k in range(n, min(count, n + AT_ONCE))))


def told(where: str, count: int, seconds: float, pid: int) -> None:
    """Say it, with the CPU that it took: on a machine that is busy otherwise, only that can be compared."""
    print(f"{where}, {count} sessions: {seconds:.1f} s from the command to ready, {proc.cpu_s(pid):.1f} s of CPU", flush=True)


def embedded(counts: Sequence[int]) -> None:
    """`sluice up` on a folder that has them."""

    async def filled(path: Path, count: int) -> None:
        log = await EmbeddedLog.open(topics.TOPICS, path)
        try:
            await fill(log.append, count)
        finally:
            await log.close()

    for count in counts:
        with tempfile.TemporaryDirectory(prefix="sluice-takeover") as folder:
            up = SluiceUp(Path(folder) / "data", {"SLUICE_UNPROVEN_SESSIONS": str(2 * SESSIONS)})
            with up:
                up.stop()
                asyncio.run(filled(up.data / "log.sqlite", count))
                began = time.monotonic()
                up.start()
                told("embedded", count, time.monotonic() - began, up.pid)


def over_kafka(counts: Sequence[int]) -> None:
    """One executor over a broker: stopped in good order, and started anew when the sessions are there."""
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="sluice-takeover") as folder:
            cluster = Cluster(Path(folder) / "cluster", {"SLUICE_UNPROVEN_SESSIONS": str(2 * SESSIONS)})
            cluster.start()
            try:
                cluster.members["executor"].process.stop()
                asyncio.run(_filled(cluster, count))
                began = time.monotonic()
                cluster.restart("executor").wait_ready()
                told("over Kafka, one executor", count, time.monotonic() - began, cluster.members["executor"].process.pid)
            finally:
                cluster.stop()


async def _filled(cluster: Cluster, count: int) -> None:
    with patch.dict(os.environ, cluster.settings_of("executor")):
        settings, clock = load(Settings), SystemClock()
    brokers = settings.brokers()
    assert brokers
    log = ProvedLog(KafkaLog(brokers, topics.TOPICS, clock), proofs_of("executor", settings, clock))
    try:
        await fill(log.append, count)
    finally:
        await log.close()


def main() -> None:
    """Measure, and print."""
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    p.add_argument("--only", choices=("embedded", "kafka"))
    p.add_argument("--sessions", type=int, default=SESSIONS)
    options = p.parse_args()
    for name, measured in (("embedded", embedded), ("kafka", over_kafka)):
        if options.only in (None, name):
            measured((0, options.sessions))


if __name__ == "__main__":
    main()
