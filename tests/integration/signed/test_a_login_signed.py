"""The four real services on one log, each with its own keys as on Kafka: people log in, and what proving costs is counted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.topics import TOPICS
from shared.messaging.log import Message, TopicPartition
from tests.signed_services import SignedServices, signed_services

pytestmark = pytest.mark.slow

SIGNATURES: Final = 9
VERIFICATIONS: Final = 6
MACS: Final = 20
"""At most of a log-in, which takes 7, 4 and 15. At 27 us a signature, 68 a verification and 9 a MAC that is 0.6 ms, 0.02 of a hash (33 ms)."""


@pytest.fixture
async def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SignedServices]:
    monkeypatch.setenv("SLUICE_TEST", "1")
    async with signed_services(tmp_path) as running:
        yield running


async def test_people_log_in_and_proving_it_costs_a_twentieth_of_a_hash(signed: SignedServices) -> None:
    assert await signed.log_in() == "xak-flow-redirect"
    await asyncio.sleep(0)
    signed.seen.clear()
    for _ in range(3):
        assert await signed.log_in() == "xak-flow-redirect"
    seen = {what: count / 3 for what, count in signed.seen.items()}

    assert seen["signatures"] <= SIGNATURES, seen
    assert seen["verifications"] <= VERIFICATIONS, seen
    assert seen["MACs"] <= MACS, seen
    assert await signed.dead_letters() == 0


async def test_with_every_topic_written_to_by_a_stranger_people_log_in(signed: SignedServices) -> None:
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
