"""What tests do to a cluster's parts, and how they judge what a visitor is answered meanwhile (architecture §4.14)."""

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import psutil

from deploy.child import Child
from deploy.cluster import Cluster, Member
from shared.contracts.codec import Codec
from shared.contracts.errors import BadRecord
from shared.contracts.model import Contract
from shared.contracts.topics import TOPICS
from shared.messaging.kafka import KafkaLog
from shared.messaging.log import Record, TopicPartition
from tests.e2e.visitor import AUTHENTICATION, Answer, Visitor

T = TypeVar("T")
PATIENCE_S = 60.0
LOGIN = f"/api/v3/flows/executor/{AUTHENTICATION}/?query="
ME = "/api/v3/core/users/me/"
IDENTIFICATION, PASSWORD, DONE = "ak-stage-identification", "ak-stage-password", "xak-flow-redirect"


def eventually(ask: Callable[[], T], good: Callable[[T], bool], patience_s: float = PATIENCE_S) -> T:
    """Ask again, as a browser's reload does, until the answer is good."""
    deadline = time.monotonic() + patience_s
    while not good(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    return answer


# --- what a visitor sees


def shown(answer: Answer) -> str | None:
    """The component that is shown; None for a 503 that says why and when to come back. Anything else is a defect."""
    if answer.status == 200:
        return str(answer.json()["component"])
    refused(answer, 503)
    return None


def refused(answer: Answer, status: int) -> None:
    """Assert that the answer is this problem, and for a 503 that it says when to come back."""
    assert answer.status == status, answer
    if status == 503:
        assert answer.headers["Content-Type"].startswith("application/problem+json"), answer
        assert answer.json()["error"], answer
        assert 1 <= int(answer.headers["Retry-After"]) <= 60, answer


def look(visitor: Visitor) -> str | None:
    """GET the flow."""
    return shown(visitor.ask(LOGIN))


def give(visitor: Visitor, component: str, **fields: Any) -> str | None:
    """POST an answer to the flow; what is shown then."""
    return shown(visitor.ask(LOGIN, {"component": component, **fields}))


def identified(url: str, name: str = "akadmin") -> Visitor:
    """A visitor half-way: who they are is said, the password is asked for."""
    visitor = Visitor(url)
    eventually(lambda: look(visitor), lambda seen: seen == IDENTIFICATION)
    eventually(lambda: give(visitor, IDENTIFICATION, uid_field=name), lambda seen: seen == PASSWORD)
    return visitor


def finish(visitor: Visitor, password: str) -> None:
    """Go on from the password with the same cookies until the login is done; every other answer is a 503."""

    def answered() -> str | None:
        seen = look(visitor)
        assert seen in (PASSWORD, DONE, None), seen
        return give(visitor, PASSWORD, password=password) if seen == PASSWORD else seen

    eventually(answered, lambda seen: seen == DONE)
    assert eventually(lambda: visitor.ask(ME), lambda answer: answer.status != 503).status == 200


def logged_in(url: str, name: str, password: str) -> Visitor:
    """Somebody who is logged in."""
    visitor = identified(url, name)
    finish(visitor, password)
    return visitor


@dataclass
class Watch:
    """What one visitor was answered, asked again and again in the background."""

    statuses: Counter[int] = field(default_factory=Counter)
    components: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def watched(visitor: Visitor, path: str = LOGIN, allowed: Sequence[int] = (200, 503)) -> Iterator[Watch]:
    """GET a path all the time; on leaving, every answer has to be an allowed one."""
    watch, over = Watch(), threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            try:
                answer = visitor.ask(path)
                watch.statuses[answer.status] += 1
                if answer.status not in allowed:
                    watch.wrong.append(f"{answer}")
                elif answer.status == 503:
                    refused(answer, 503)
                elif answer.status == 200 and path == LOGIN:
                    watch.components.add(str(answer.json()["component"]))
            except (OSError, AssertionError, KeyError, json.JSONDecodeError) as error:
                watch.wrong.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
    assert not watch.wrong, watch.wrong[:5]


# --- what is done to a cluster


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


# --- what stands in the log


def records(cluster: Cluster, topic: str) -> list[Record]:
    """All of a topic as it is now."""

    async def read() -> list[Record]:
        log = await KafkaLog.open(cluster.broker.bootstrap, TOPICS)
        try:
            places = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
            return [record for place in places async for batch in log.read(place, *await log.bounds(place)) for record in batch]
        finally:
            await log.close()

    return asyncio.run(read())


def bodies(cluster: Cluster, topic: str, codec: Codec) -> list[Contract]:
    """What a topic says, without what cannot be read."""
    found = []
    for record in records(cluster, topic):
        with suppress(BadRecord):
            found.append(codec.decode(record, TOPICS[topic].max_bytes).body)
    return found


# --- what PostgreSQL is told, and kept from


@contextmanager
def locked(cluster: Cluster, table: str) -> Iterator[Callable[[], None]]:
    """Nobody else can use this table, until the context ends or the server does (then call what is handed out)."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(cluster.uris["sluice_admin"]))
    try:
        loop.run_until_complete(connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
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
    time.sleep(0.5)  # every backend reads its settings anew, between two statements


# --- how long a takeover takes

KILLS = int(os.environ.get("TAKEOVER_KILLS", "2"))


def first_answers(visitors: Sequence[Visitor], since: float) -> list[float]:
    """Seconds until a step of each was answered by its session's owner: an answer that lacks the password counts for nothing."""

    def one(visitor: Visitor) -> float:
        eventually(lambda: give(visitor, PASSWORD), bool)
        return time.monotonic() - since

    with ThreadPoolExecutor(len(visitors)) as pool:
        return list(pool.map(one, visitors))


def percentiles(seconds: Sequence[float]) -> str:
    """p50, p99 and the longest."""
    ranked = sorted(seconds)
    p50, p99 = (ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (0.5, 0.99))
    return f"p50 {p50:.1f} s, p99 {p99:.1f} s, longest {ranked[-1]:.1f} s"
