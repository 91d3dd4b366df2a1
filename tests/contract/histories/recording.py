"""Recording a scenario: a worker over the log in memory, with a clock, ids and chance that are the same each time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from shared.contracts import topics
from shared.contracts.envelope import from_headers, to_headers
from shared.kernel.ids import new_session_id, random_id
from shared.messaging.log import Log, Record, TopicPartition
from tests.contract.histories.installation import drawn, installation
from tests.contract.histories.scenarios import SCENARIOS
from tests.fixtures_patience import PATIENT_S
from tests.signing import signing
from tests.unit.executor import world as worlds
from tests.unit.executor.world import World


async def recorded(name: str) -> list[Record]:
    """The scenario's transitions, in their order, then the newest state of each session."""
    with _drawing(name), signing(False):
        world = World()
        around = installation(world.clock)
        world.planner, world.policy = around, around.policies  # type: ignore[assignment]
        async with world:
            await SCENARIOS[name](world, world.browser())
            steps = await _all(world.log, topics.SESSIONS)
            newest = {envelope.subject: envelope.subject_version for envelope in (from_headers(step.headers) for step in steps)}
            async with asyncio.timeout(PATIENT_S):
                while _versions(states := await _newest_states(world.log)) != newest:  # noqa: ASYNC110 - a log tells nobody
                    await asyncio.sleep(0.01)
    return [_as_kept(record) for record in (*steps, *states.values())]


async def _newest_states(log: Log) -> dict[str, Record]:
    return {from_headers(record.headers).subject.partition("/")[0]: record for record in await _all(log, topics.STATE)}


def _versions(states: dict[str, Record]) -> dict[str, int | None]:
    return {session: from_headers(record.headers).subject_version for session, record in states.items()}


async def _all(log: Log, topic: str) -> list[Record]:
    places = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    return [record for place in places async for batch in log.read(place, *await log.bounds(place)) for record in batch]


def _as_kept(record: Record) -> Record:
    """At the time that its envelope says, and under its session alone: when and by which owner it was written is nothing of the history."""
    envelope = from_headers(record.headers)
    session = envelope.subject.partition("/")[0]
    headers = to_headers(replace(envelope, subject=session))
    return replace(record, timestamp_ms=envelope.time_us // 1000, key=session.encode(), headers=headers)


@contextmanager
def _drawing(name: str) -> Iterator[None]:
    """Every id that an edge draws is drawn anew, and the same."""
    entropy = drawn(name)
    with (
        patch.object(worlds, "random_id", lambda: random_id(entropy)),
        patch.object(worlds, "new_session_id", lambda partition: new_session_id(partition, entropy)),
    ):
        yield
