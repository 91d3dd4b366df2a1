"""A broker's disk has damaged a batch: brokers hand it out as it is, and only its checksum tells."""

import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.kafka.broker import Broker, missing
from shared.contracts.envelope import UNREADABLE
from shared.contracts.topics import Topic
from shared.messaging.kafka.admin import create_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from tests.conformance.log.batches import GZIP, Batch, Made, one, send
from tests.conformance.log.support import Bench
from tests.conformance.log.test_kafka_poison import read_in_all_ways

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
HEAD = 61
NAMES = iter(f"damaged-{number}" for number in range(100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Broker]:
    if lacking := missing():
        pytest.skip(f"kafka: {lacking}")
    made = Broker(folder, quick_start=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def bench(broker: Broker) -> AsyncIterator[Bench]:
    topic = Topic(next(NAMES), "k", "test", "records", partitions=1, retention_s=86_400)
    await create_topics(Brokers(broker.bootstrap), [topic])
    log = await KafkaLog.open(Brokers(broker.bootstrap), {topic.name: topic})
    yield Bench("kafka", {"plain": topic}, log, lambda: KafkaLog.open(Brokers(broker.bootstrap), {topic.name: topic}), [log])
    await log.close()


def damage(folder: Path, bench: Bench, number: int, at: int, byte: int = 0xFF) -> None:
    """Turn the bits of a byte of the batch with this number, counted from its beginning or, below 0, its end."""
    (segment,) = folder.glob(f"**/{bench.name('plain')}-0/*.log")
    with segment.open("r+b") as file:
        data, start = file.read(), 0
        for _ in range(number):
            start += 12 + struct.unpack_from(">i", data, start + 8)[0]
        end = start + 12 + struct.unpack_from(">i", data, start + 8)[0]
        place = (start if at >= 0 else end) + at
        file.seek(place)
        file.write(bytes([data[place] ^ byte]))


THREE = Batch((Made(b"first"), Made(b"second" * 5), Made(b"third")))


async def sent(broker: Broker, bench: Bench, batch: Batch) -> None:
    await bench.write("plain", b"before")
    await send(broker.bootstrap, bench.name("plain"), 0, batch)
    await bench.write("plain", b"after")


async def test_records_of_a_damaged_batch_are_handed_on_for_their_proofs_to_tell(broker: Broker, bench: Bench, folder: Path) -> None:
    await sent(broker, bench, THREE)
    damage(folder, bench, 1, HEAD + 20)
    for records in await read_in_all_ways(bench):
        values = [record.value for record in records]
        assert [record.offset for record in records] == [0, 1, 2, 3, 4]
        assert [values[0], values[3], values[4]] == [b"before", b"third", b"after"]
        assert values[1:3] != [b"first", b"second" * 5]


@pytest.mark.parametrize("at", [16, 21, 26, 57, 60, HEAD, HEAD + 1, HEAD + 3, -1])
async def test_wherever_a_byte_is_wrong_what_comes_behind_is_reached(broker: Broker, bench: Bench, folder: Path, at: int) -> None:
    """Magic, attributes, last offset, count, and the lengths in the first record."""
    await sent(broker, bench, THREE)
    damage(folder, bench, 1, at)
    for records in await read_in_all_ways(bench):
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))
        assert [records[0].value, records[-1].value] == [b"before", b"after"]


async def test_a_damaged_batch_that_was_packed_is_one_unreadable_record(broker: Broker, bench: Bench, folder: Path) -> None:
    await sent(broker, bench, Batch(THREE.records, GZIP))
    damage(folder, bench, 1, HEAD + 25)
    for records in await read_in_all_ways(bench):
        assert [record.value for record in records if record.offset in (0, 4)] == [b"before", b"after"]
        (spoilt,) = records[1:-1]
        assert spoilt.headers[0][0] == UNREADABLE


async def test_the_last_batch_is_damaged_and_what_is_written_then_is_reached(broker: Broker, bench: Bench, folder: Path) -> None:
    await bench.write("plain", b"before")
    await send(broker.bootstrap, bench.name("plain"), 0, one(b"spoilt"))
    damage(folder, bench, 1, -3)
    assert len(await bench.everything("plain")) == 2
    await bench.write("plain", b"after")
    for records in await read_in_all_ways(bench):
        assert [record.value for record in records][::2] == [b"before", b"after"]
