"""The broker loses records of `executor.sessions` that it had acknowledged: one partition stops, is told of, and is mended (architecture §4.15)."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from deploy.cluster import Cluster, Member
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import from_headers
from shared.contracts.sessions import CODEC
from shared.contracts.topics import (
    CATALOG_EVENTS,
    DEFINITIONS,
    DIRECTORY_EVENTS,
    KEYS,
    REVOCATIONS,
    SESSION_PARTITIONS,
    SESSIONS,
    STATE,
    TOPICS,
)
from shared.messaging.log import Record
from tests.e2e.cluster import cutting, faults
from tests.e2e.cluster.seeing import DONE, IDENTIFICATION, ME, PASSWORD, eventually, finish, give, identified, logged_in
from tests.e2e.visitor import INVALIDATION, Visitor

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
WORKERS = ("executor", "second")


@pytest.fixture(scope="module")
def two(cluster: Cluster) -> Iterator[Cluster]:
    """With a second worker."""
    with faults.one_more(cluster, "second", "worker"):
        yield cluster


@pytest.fixture(autouse=True)
def mended(two: Cluster) -> Iterator[None]:
    """What one test leaves set aside is no other's."""
    yield
    for name in WORKERS:
        if not two.members[name].process.is_alive():
            two.restart(name)
    for name in WORKERS:
        two.members[name].wait_ready()
    two.sluice("sessions", "repair")


def rows(cluster: Cluster) -> dict[int, dict[str, Any]]:
    """What PostgreSQL says is set aside."""

    async def read() -> dict[int, dict[str, Any]]:
        connection = await asyncpg.connect(cluster.uris["sluice_admin"])
        try:
            return {row["partition"]: dict(row) for row in await connection.fetch("SELECT * FROM executor.set_aside")}
        finally:
            await connection.close()

    return asyncio.run(read())


def newest(cluster: Cluster) -> Record:
    """The last transition that was written."""
    return max(faults.records(cluster, SESSIONS), key=lambda record: (record.timestamp_ms, record.offset))


def somebody(cluster: Cluster) -> tuple[Visitor, Record]:
    """Somebody who is logged in, and the transition that logged them in, whose order is done."""
    visitor = logged_in(cluster.url, "akadmin", cluster.password)
    return visitor, newest(cluster)


def told(member: Member) -> tuple[bool, list[dict[str, Any]]]:
    """Whether it is ready, and what it says is set aside."""
    try:
        with urllib.request.urlopen(member.url + "/-/health/ready/", timeout=10) as answer:  # noqa: S310 -- ours
            body = json.load(answer)
    except urllib.error.HTTPError as refused:  # the broker has only just come back
        with refused:
            return False, []
    return body["status"] == "ok", body.get("details", {}).get("executor.set_aside", [])


def owned(cluster: Cluster) -> int:
    """How often a worker was given partitions."""
    return sum((cluster.folder / f"{name}.log").read_text().count('"owns ') for name in WORKERS)


def set_aside(cluster: Cluster, partitions: set[int]) -> None:
    """Exactly these become set aside, no process ends, and whoever comes logs in."""
    eventually(lambda: set(rows(cluster)), lambda found: found >= partitions)
    assert set(rows(cluster)) == partitions
    for _ in range(SESSION_PARTITIONS):
        logged_in(cluster.url, "akadmin", cluster.password)
    assert cluster.ended() == []
    details = eventually(
        lambda: [one for name in WORKERS for ready, found in [told(cluster.members[name])] for one in found if ready],
        lambda found: {one["partition"] for one in found} == partitions,
    )
    logs = "".join((cluster.folder / f"{name}.log").read_text() for name in WORKERS)
    for one in details:
        assert one["offset"] == rows(cluster)[one["partition"]]["known_offset"]
        assert f"LOG_DIVERGED: partition {one['partition']} of executor.sessions is set aside at offset {one['offset']}" in logs


def repaired(cluster: Cluster, partitions: set[int]) -> str:
    """After it nothing is set aside, without a rebalance, and whoever comes logs in; what the command said."""
    before = owned(cluster)
    said = cluster.sluice("sessions", "repair")
    assert rows(cluster) == {}
    for number in partitions:
        assert f"partition {number} of executor.sessions is set aside" in said
        assert f"partition {number} is repaired" in said
    assert owned(cluster) == before, "no partition was given to anybody anew"
    for _ in range(SESSION_PARTITIONS):
        logged_in(cluster.url, "akadmin", cluster.password)
    assert rows(cluster) == {} and cluster.ended() == []
    history_is_whole(cluster)
    return said


def history_is_whole(cluster: Cluster) -> None:
    """Of each session every accepted transition continues the one before, and a session that lost one has ended."""
    rule, ended = AcceptedTransitions(), set[str]()
    for record in faults.records(cluster, SESSIONS):
        body: Any = CODEC.decode(record, TOPICS[SESSIONS].max_bytes).body
        if rule.accepts(from_headers(record.headers)):
            assert body.session not in ended, "nothing follows an end"
            ended |= {body.session for event in body.events if event.event == "session.ended"}


@pytest.mark.parametrize(
    ("batches", "killed"),
    [(1, False), pytest.param(3, True, marks=pytest.mark.long), (cutting.ALL, False)],
    ids=["one batch, stopped", "three, killed", "all of it, stopped"],
)
def test_a_partition_whose_tail_is_cut_while_the_services_run(two: Cluster, batches: int, killed: bool) -> None:
    visitor, lost = somebody(two)
    with cutting.broker_down(two, killed=killed):
        assert cutting.cut(two, SESSIONS, lost.partition, batches)
    set_aside(two, {lost.partition})
    assert eventually(lambda: visitor.ask(ME).status, lambda status: status != 503) == 200, "the login holds"
    said = repaired(two, {lost.partition})
    session = (lost.key or b"").decode()
    assert f"session {session} is remembered at version" in said and "akadmin stays logged in" in said
    assert visitor.ask(ME).status == 200


def test_the_tails_of_several_partitions_are_cut_and_half_way_visitors_begin_anew(two: Cluster) -> None:
    found: dict[int, Visitor] = {}
    while len(found) < 4:
        visitor = identified(two.url)
        found.setdefault(newest(two).partition, visitor)
    with cutting.broker_down(two):
        for number in found:
            assert cutting.cut(two, SESSIONS, number)
    set_aside(two, set(found))
    for visitor in found.values():
        # What they see may still be the edge's; what they answer to it is delivered to nobody.
        eventually(lambda visitor=visitor: give(visitor, PASSWORD, password=two.password), lambda seen: seen == IDENTIFICATION)  # type: ignore[misc]
        eventually(lambda visitor=visitor: give(visitor, IDENTIFICATION, uid_field="akadmin"), lambda seen: seen == PASSWORD)  # type: ignore[misc]
        finish(visitor, two.password)
    repaired(two, set(found))


def test_a_tail_that_is_cut_while_nobody_reads_is_met_at_takeover(two: Cluster) -> None:
    _, lost = somebody(two)
    for name in WORKERS:
        two.kill(name)
    with cutting.broker_down(two):
        cutting.cut(two, SESSIONS, lost.partition)
    for name in WORKERS:
        two.restart(name)
    for name in WORKERS:
        two.members[name].wait_ready()
    set_aside(two, {lost.partition})
    repaired(two, {lost.partition})


@pytest.mark.parametrize("states", [False, pytest.param(True, marks=pytest.mark.long)], ids=["states are there", "states are lost too"])
def test_an_acknowledged_order_whose_transition_is_lost_is_remembered_by_postgres_alone(two: Cluster, states: bool) -> None:
    visitor, lost = somebody(two)
    for name in WORKERS:
        two.members[name].process.stop()
    cutting.commit(two, "executor", SESSIONS, lost.partition, 0)
    with cutting.broker_down(two):
        cutting.cut(two, SESSIONS, lost.partition)
        if states:
            cutting.cut(two, STATE, lost.partition, cutting.ALL)
    for name in WORKERS:
        two.restart(name)
    for name in WORKERS:
        two.members[name].wait_ready()
    set_aside(two, {lost.partition})
    assert rows(two)[lost.partition]["reason"] == "order"
    assert visitor.ask(ME).status == 200
    assert "akadmin stays logged in" in repaired(two, {lost.partition})


def test_records_that_nobody_had_done_are_deleted_at_the_start(two: Cluster) -> None:
    _, lost = somebody(two)
    for name in WORKERS:
        two.members[name].process.stop()
    cutting.commit(two, "executor", SESSIONS, lost.partition, lost.offset)
    cutting.delete_records(two, {(SESSIONS, lost.partition): lost.offset + 1})
    for name in WORKERS:
        two.restart(name)
    for name in WORKERS:
        two.members[name].wait_ready()
    set_aside(two, {lost.partition})
    assert rows(two)[lost.partition]["reason"] == "below_start"
    repaired(two, {lost.partition})


def test_the_topic_is_made_anew(two: Cluster) -> None:
    visitor, _ = somebody(two)
    known = {record.partition for record in faults.records(two, SESSIONS)}
    for name in WORKERS:
        two.members[name].process.stop()
    cutting.make_anew(two, SESSIONS)
    for name in WORKERS:
        two.restart(name)
    for name in WORKERS:
        two.members[name].wait_ready()
    eventually(lambda: set(rows(two)), bool)
    assert set(rows(two)) <= known
    assert eventually(lambda: visitor.ask(ME).status, lambda status: status != 503) == 200
    two.sluice("sessions", "repair")
    assert rows(two) == {}
    logged_in(two.url, "akadmin", two.password)


def test_the_tails_of_all_topics_are_cut_while_the_services_run(two: Cluster) -> None:
    visitor, _ = somebody(two)
    leaver = logged_in(two.url, "akadmin", two.password)
    assert leaver.challenge(INVALIDATION)["component"] == DONE
    eventually(lambda: reached(two), lambda known: known.get(DIRECTORY_EVENTS, 0) > 0)
    started = faults.pids(two)
    with cutting.broker_down(two):
        lost = {
            (topic.name, number) for topic in TOPICS.values() for number in range(topic.partitions) if cutting.cut(two, topic.name, number)
        }
    sessions = {number for topic, number in lost if topic == SESSIONS}
    eventually(lambda: set(rows(two)), lambda found: found == sessions)
    assert {topic for topic, _ in lost} >= {KEYS, REVOCATIONS, DEFINITIONS, DIRECTORY_EVENTS}
    # What one process alone writes; others may have grown over the gap through another process, before anybody looked.
    told = {(topic, number) for topic, number in lost if topic in (DEFINITIONS, CATALOG_EVENTS)}
    for topic, number in told:
        eventually(lambda: logs(two), lambda text, line=f"LOG_DIVERGED: {topic} {number} has lost records": line in text)  # type: ignore[misc]
    repaired(two, sessions)
    assert faults.pids(two) == started, "no process ended"
    assert visitor.ask(ME).status == 200
    assert leaver.who() is None
    # Whoever starts now knows all that is current: it was said again.
    for name in ("planner", "policy", "executor"):
        two.restart(name).wait_ready()
    logged_in(two.url, "akadmin", two.password)
    assert leaver.who() is None


def reached(cluster: Cluster) -> dict[str, int]:
    """How far PostgreSQL remembers topics of one partition to reach."""

    async def read() -> dict[str, int]:
        connection = await asyncpg.connect(cluster.uris["sluice_admin"])
        try:
            return {row["topic"]: row["reached"] for row in await connection.fetch("SELECT * FROM executor.log_ends WHERE partition = 0")}
        finally:
            await connection.close()

    return asyncio.run(read())


def logs(cluster: Cluster) -> str:
    """What all services have said."""
    return "".join((cluster.folder / f"{name}.log").read_text() for name in cluster.members)
