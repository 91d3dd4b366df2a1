"""What tests take from a broker's disk, or from its topics: records that it has acknowledged are gone afterwards."""

import asyncio
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.cluster import Cluster

_HEAD = struct.Struct(">qi")
_LAST = struct.Struct(">i")
_LAST_AT = 23
"""Where a batch (magic 2) says how far its last offset is from its first."""
CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint", ".kafka_cleanshutdown")
ALL = 10**9


@contextmanager
def broker_down(cluster: Cluster, *, killed: bool = False) -> Iterator[None]:
    """The broker does not run, and its disk can be written to."""
    if killed:
        cluster.broker.kill()
    else:
        cluster.broker.stop()
    try:
        yield
    finally:
        cluster.broker.start()


def cut(cluster: Cluster, topic: str, partition: int, batches: int = 1) -> int:
    """Take the last batches of a partition from the disk of a broker that does not run; how many records that were."""
    folder = cluster.folder / "kafka" / "data" / f"{topic}-{partition}"
    lost = 0
    for segment in sorted(folder.glob("*.log"), reverse=True):
        found = list(_batches(segment))
        gone = found[max(0, len(found) - batches) :]
        if gone:
            with segment.open("r+b") as file:
                file.truncate(gone[0][0])
            lost += sum(count for _, count in gone)
            batches -= len(gone)
    for name in ("*.index", "*.timeindex", "*.snapshot", "*.txnindex", "leader-epoch-checkpoint*"):
        for path in folder.glob(name):
            path.unlink()
    for name in CHECKPOINTS:
        (folder.parent / name).unlink(missing_ok=True)
    return lost


def _batches(segment: Path) -> Iterator[tuple[int, int]]:
    """Of each batch where it begins and how many records it has."""
    data, at = segment.read_bytes(), 0
    while at + _HEAD.size + _LAST_AT < len(data):
        _, length = _HEAD.unpack_from(data, at)
        if not length:
            return
        yield at, _LAST.unpack_from(data, at + _LAST_AT)[0] + 1
        at += _HEAD.size + length


def delete_records(cluster: Cluster, before: Mapping[tuple[str, int], int]) -> None:
    """As `kafka-delete-records.sh`: nothing below these offsets is there any more."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.broker.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(*place): RecordsToDelete(offset) for place, offset in before.items()})
        finally:
            await admin.close()

    asyncio.run(delete())


def make_anew(cluster: Cluster, topic: str) -> None:
    """Delete a topic and make it again, as an operator might."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.broker.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():  # noqa: ASYNC110 -- a broker's
                await asyncio.sleep(0.1)
        finally:
            await admin.close()

    asyncio.run(delete())
    cluster.sluice("topics", "create")


def commit(cluster: Cluster, group: str, topic: str, partition: int, offset: int) -> None:
    """Say for a group without members how far it is."""

    async def say() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=cluster.broker.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            await consumer.commit({place: offset})
        finally:
            await consumer.stop()

    asyncio.run(say())
