"""Somebody may write one topic and appends copies of true records, proof and all: a copy is told from something that happened again."""

from dataclasses import replace

import pytest

from shared.contracts.messages import MESSAGES
from shared.contracts.topics import CATALOG_EVENTS, DEAD_LETTERS, DIRECTORY_EVENTS, REVOCATIONS, TOPICS
from shared.contracts.writers import WRITERS
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, TopicPartition
from sluice.tail.entries import UNREADABLE, Entries
from tests.contract.golden_files import example_of
from tests.security.acting import message
from tests.signing import as_service


async def tailed(bare: EmbeddedLog, topic: str) -> list[tuple[str, bool, bool]]:
    """The subject of each record, whether it can be read, and whether it is said to be a repeat."""
    log, entries = as_service(bare, "executor"), Entries(topic)
    shown = [one async for batch in log.read(TopicPartition(topic, 0), 0, 1000) for record in batch for one in entries.of(record)]
    return [(one.record.key.decode() if one.record.key else "", one.name != UNREADABLE, one.repeat) for one in shown]


@pytest.mark.parametrize("topic", [DIRECTORY_EVENTS, CATALOG_EVENTS, DEAD_LETTERS, REVOCATIONS])
async def test_a_copy_is_shown_as_a_repeat_and_a_changed_one_as_nothing(topic: str) -> None:
    bare = await EmbeddedLog.open(TOPICS)
    writer = as_service(bare, WRITERS[topic].services[0])
    for subject in ("1", "2"):
        await writer.append(message(topic, example_of(MESSAGES[topic][0]), subject, 0))
    one, two = [record async for batch in bare.read(TopicPartition(topic, 0), 0, 2) for record in batch]
    copies = [Message(topic, 0, record.key, record.value, record.headers) for record in (one, two, one)]
    renamed = replace(copies[0], headers=tuple((name, b"other" if name == "ce_id" else value) for name, value in one.headers))
    for copy in (*copies, renamed, replace(copies[0], headers=(*one.headers, ("a-tracer's", b"x")))):
        await bare.append(copy)
    await writer.append(message(topic, example_of(MESSAGES[topic][0]), "3", 0))
    assert await tailed(bare, topic) == [
        ("1", True, False),
        ("2", True, False),
        ("1", True, True),
        ("2", True, True),
        ("1", True, True),
        ("1", False, False),  # an id of its own has no proof
        ("1", True, True),  # headers of others are not covered and change nothing
        ("3", True, False),
    ]
    await bare.close()
