"""What this process has just said, and only its own log gives out, is not decoded: it is what its bytes say."""

from typing import Any

import pytest

from shared.contracts import wire
from shared.contracts.codec import Codec
from shared.contracts.messages import MESSAGES
from shared.contracts.model import Contract
from shared.contracts.topics import STEPS, TOPICS
from shared.messaging.embedded import log as embedded
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record, TopicPartition
from shared.messaging.proved import ProvedLog
from shared.messaging.saying import message
from tests.contract.golden_files import all_messages, envelope_of, example_of
from tests.signing import proofs

VOLATILE = [kind for topic, kinds in MESSAGES.items() if TOPICS[topic].volatile for kind in kinds]


def said(kind: type[Contract], topic: str = STEPS) -> Message:
    return message(TopicPartition(topic, 7), envelope_of(kind.wire_type, kind.wire_version), example_of(kind))


async def read(log: Any, topic: str = STEPS) -> list[Record]:
    place = TopicPartition(topic, 7)
    return [record async for batch in log.read(place, *await log.bounds(place)) for record in batch]


@pytest.mark.parametrize("kind", all_messages(), ids=lambda kind: kind.wire_type)
async def test_it_is_what_its_bytes_say(kind: type[Contract], monkeypatch: pytest.MonkeyPatch) -> None:
    log, codec = await EmbeddedLog.open(TOPICS), Codec([kind])
    await log.append(said(kind))
    (record,) = await read(log)
    bare = Record(*record.place, record.offset, record.timestamp_ms, record.key, record.value, record.headers)
    decoded = codec.decode(bare)
    monkeypatch.setattr(wire, "unpack", None)
    assert codec.decode(record) == decoded
    assert record == bare


async def test_only_of_the_newest_is_held_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SAID", 3)
    log = await EmbeddedLog.open(TOPICS)
    for _ in range(8):
        await log.append(said(VOLATILE[0]))
    assert [record.said is not None for record in await read(log)] == [False] * 5 + [True] * 3
    codec = Codec([VOLATILE[0]])
    assert len({repr(codec.decode(record)) for record in await read(log)}) == 1


async def test_what_somebody_appended_as_bytes_is_decoded() -> None:
    log = await EmbeddedLog.open(TOPICS)
    made = said(VOLATILE[0])
    await log.append(Message(made.topic, made.partition, made.key, b"\x81", made.headers))
    (record,) = await read(log)
    with pytest.raises(Exception, match="E_EVT_SYNTAX"):
        Codec([VOLATILE[0]]).decode(record)


async def test_a_log_whose_records_prove_their_writers_hands_nothing_over() -> None:
    log = ProvedLog(await EmbeddedLog.open(TOPICS), proofs("executor"))
    await log.append(said(VOLATILE[0]))
    assert [record.said for record in await read(log)] == [None]
