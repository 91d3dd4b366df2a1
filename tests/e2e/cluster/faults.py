"""What tests do to a cluster's parts, and what they find in its log afterwards."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from deploy.child import Child
from deploy.cluster import Cluster, Member
from shared.contracts.codec import Codec
from shared.contracts.errors import BadRecord
from shared.contracts.model import Contract
from shared.contracts.topics import TOPICS
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import Record, TopicPartition
from tests.e2e.cluster.seeing import PATIENCE_S, eventually


def postgres_processes(cluster: Cluster) -> list[psutil.Process]:
    """The postmaster, first, and what it has started."""
    postmaster = psutil.Process(int((cluster.folder / "postgres/data/postmaster.pid").read_text().split()[0]))
    return [postmaster, *postmaster.children(recursive=True)]


def kill_postgres(cluster: Cluster) -> None:
    """End the postmaster without warning; its parent says so and ends."""
    postgres_processes(cluster)[0].kill()
    eventually(cluster.postgres.is_alive, lambda alive: not alive)


def start_postgres(cluster: Cluster) -> None:
    """Start it on the same folder; returns when it serves."""
    cluster.postgres.start()
    cluster.postgres.wait_until(lambda: cluster.postgres.log.read_bytes().endswith(b"}\n"), PATIENCE_S)
    assert json.loads(cluster.postgres.tail(1)) == cluster.uris


@contextmanager
def postgres_paused(cluster: Cluster) -> Iterator[None]:
    """All of PostgreSQL stands still: connections stay, nothing is answered."""
    processes = postgres_processes(cluster)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.resume()


@contextmanager
def stopped(process: Child) -> Iterator[None]:
    """A process stands still (SIGSTOP)."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@contextmanager
def paused(cluster: Cluster, name: str) -> Iterator[None]:
    """A member stands still."""
    with stopped(cluster.members[name].process):
        yield


@contextmanager
def one_more(cluster: Cluster, name: str, role: str, environment: dict[str, str] | None = None) -> Iterator[Member]:
    """One more executor, of this role, for a while."""
    member = cluster.add("executor", name, ("--role", role), environment)
    try:
        member.wait_ready()
        yield member
    finally:
        cluster.remove(name)


def all_well(cluster: Cluster, started: dict[str, int]) -> None:
    """These processes are the same as at the start, and all of them become ready again."""
    assert [process.name for process in cluster.ended()] == [], cluster.ended()[0].tail()
    assert pids(cluster) | started == pids(cluster)
    for name, member in cluster.members.items():
        eventually(member.is_ready, bool), name


def pids(cluster: Cluster) -> dict[str, int]:
    """The process ids of the services."""
    return {name: member.process.pid for name, member in cluster.members.items()}


def records(cluster: Cluster, topic: str) -> list[Record]:
    """All of a topic as it is now."""

    async def read() -> list[Record]:
        log = await KafkaLog.open(Brokers(cluster.broker.bootstrap), TOPICS)
        try:
            places = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
            return [record for place in places async for batch in log.read(place, *await log.bounds(place)) for record in batch]
        finally:
            await log.close()

    return asyncio.run(read())


def append(cluster: Cluster, again: list[Record]) -> None:
    """These records once more, byte by byte, at the ends of their partitions."""

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=cluster.broker.bootstrap)
        await producer.start()
        try:
            for one in again:
                await producer.send_and_wait(one.topic, one.value, one.key, one.partition, headers=list(one.headers))
        finally:
            await producer.stop()

    asyncio.run(write())


def bodies(cluster: Cluster, topic: str, codec: Codec) -> list[Contract]:
    """What a topic says, without what cannot be read."""
    found = []
    for record in records(cluster, topic):
        with suppress(BadRecord):
            found.append(codec.decode(record, TOPICS[topic].max_bytes).body)
    return found


@contextmanager
def locked(cluster: Cluster, table: str) -> Iterator[Callable[[], None]]:
    """Nobody else can write to this table, until the context ends or the server does (then call what is handed out).

    It can be read: a guess asks it which browsers and networks an account has logged in from.
    """
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(cluster.uris["sluice_admin"]))
    try:
        loop.run_until_complete(connection.execute(f"BEGIN; LOCK TABLE {table} IN SHARE MODE"))
        yield connection.terminate
    finally:
        connection.terminate()
        loop.run_until_complete(asyncio.sleep(0))  # its socket is closed in the loop's next turn
        loop.close()


@contextmanager
def statements(cluster: Cluster, role: str) -> Iterator[Callable[[], list[str]]]:
    """The statements of one role during the context, as PostgreSQL's own log has them; to be asked for after it."""
    log = cluster.folder / "postgres/log"
    _configure(cluster, "ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM SET log_line_prefix = 'role=%u '")
    try:
        start = log.stat().st_size
        yield lambda: [line for line in log.read_bytes()[start:end].decode().splitlines() if line.startswith(f"role={role} ")]
        end = log.stat().st_size
    finally:
        _configure(cluster, "ALTER SYSTEM RESET log_statement", "ALTER SYSTEM RESET log_line_prefix")


def _configure(cluster: Cluster, *settings: str) -> None:
    async def apply() -> None:
        connection = await asyncpg.connect(cluster.uris["sluice_admin"])
        for setting in (*settings, "SELECT pg_reload_conf()"):
            await connection.execute(setting)
        await connection.close()

    asyncio.run(apply())
    time.sleep(2)  # every backend reads its settings anew, between two statements
