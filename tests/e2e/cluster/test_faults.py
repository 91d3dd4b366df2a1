"""What the cluster depends on goes away and comes back: a 503 that says why, never a skipped stage, and the session goes on.

One cluster for all of them, and no process of it may have to be restarted (architecture §4.13, §4.14).
"""

import asyncio
import sys
import time
from collections.abc import Iterator

import pytest

from deploy.cluster import Cluster
from shared.contracts import topics
from shared.contracts.directory import EVENTS_CODEC, UserChanged
from shared.contracts.failures import CODEC as FAILURES_CODEC
from shared.contracts.failures import RecordRefused
from shared.contracts.topics import TOPICS
from tests.conformance.log import poison
from tests.e2e.cluster import faults, seeing
from tests.e2e.cluster.faults import paused
from tests.e2e.cluster.seeing import (
    DONE,
    IDENTIFICATION,
    ME,
    PASSWORD,
    eventually,
    finish,
    give,
    identified,
    logged_in,
    look,
    people,
)
from tests.e2e.visitor import AUTHENTICATION, Visitor

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
POISON = ((b"spoilt", (("zz", b"v"), ("none", None))),)
STALE_S = 6.0
"""Longer than an edge trusts a tail that hears nothing, and what it looked up meanwhile (5 s)."""


@pytest.fixture(autouse=True)
def nobody_has_to_be_restarted(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever happens to the others, the same processes go on and are ready again, and a new visitor can log in."""
    started = {name: pid for name, pid in faults.pids(cluster).items() if name != "executor" or "takeover" not in request.node.name}
    yield
    faults.all_well(cluster, started)
    logged_in(cluster.url, "akadmin", cluster.password)


def at_the_beginning(cluster: Cluster) -> Visitor:
    """A visitor who was asked who they are."""
    visitor = Visitor(cluster.url)
    assert eventually(lambda: look(visitor), bool) == IDENTIFICATION
    return visitor


def sessions(cluster: Cluster) -> int:
    return len(faults.records(cluster, topics.SESSIONS))


def made(cluster: Cluster, name: str) -> str:
    """A user of a test's own; the password."""
    cluster.sluice("users", "create", name, "--password-stdin", stdin=f"{name}-password\n")
    return f"{name}-password"


def test_policy_stands_still_and_the_stage_it_guards_is_not_skipped(cluster: Cluster) -> None:
    visitor = at_the_beginning(cluster)
    with paused(cluster, "policy"):
        assert give(visitor, IDENTIFICATION, uid_field="akadmin") is None
        assert look(visitor) in (IDENTIFICATION, None)
        seeing.refused(visitor.ask(ME), 403)
    assert eventually(lambda: give(visitor, IDENTIFICATION, uid_field="akadmin"), bool) == PASSWORD
    finish(visitor, cluster.password)


def test_policy_stands_still_for_so_long_that_its_group_forgets_it(cluster: Cluster) -> None:
    visitor = at_the_beginning(cluster)
    with paused(cluster, "policy"):
        until = time.monotonic() + 9  # a session of its group lasts 6 s
        while time.monotonic() < until:
            assert give(visitor, IDENTIFICATION, uid_field="akadmin") is None
    assert eventually(lambda: give(visitor, IDENTIFICATION, uid_field="akadmin"), bool) == PASSWORD
    finish(visitor, cluster.password)


def test_the_planner_stands_still_and_nothing_is_written(cluster: Cluster) -> None:
    half_way, visitor, written = identified(cluster.url), Visitor(cluster.url), sessions(cluster)
    with paused(cluster, "planner"):
        assert look(visitor) is None
        assert give(visitor, IDENTIFICATION, uid_field="akadmin") is None
        assert not [cookie.name for cookie in visitor.jar if cookie.name == "authentik_session"]
        assert eventually(lambda: look(half_way), bool) == PASSWORD  # planned already
        assert sessions(cluster) == written
    assert eventually(lambda: look(visitor), bool) == IDENTIFICATION
    finish(half_way, cluster.password)


def test_postgres_stands_still_and_what_needs_none_goes_on(cluster: Cluster) -> None:
    at_the_door, half_way = at_the_beginning(cluster), identified(cluster.url)
    with faults.postgres_paused(cluster):
        for _ in range(12):  # more than an executor has connections
            assert give(at_the_door, IDENTIFICATION, uid_field="akadmin") is None
            assert give(half_way, PASSWORD, password=cluster.password) is None
        assert look(at_the_door) in (IDENTIFICATION, None)
        assert eventually(lambda: look(half_way), bool) == PASSWORD
        assert eventually(lambda: look(Visitor(cluster.url)), bool) == IDENTIFICATION
        seeing.refused(half_way.ask(ME), 403)
    finish(half_way, cluster.password)
    assert eventually(lambda: give(at_the_door, IDENTIFICATION, uid_field="akadmin"), bool) == PASSWORD
    finish(at_the_door, cluster.password)


def test_postgres_dies_and_comes_back(cluster: Cluster) -> None:
    at_the_door, half_way, reader = at_the_beginning(cluster), identified(cluster.url), identified(cluster.url)
    with seeing.watched(reader) as watch:
        faults.kill_postgres(cluster)
        for _ in range(3):
            assert give(at_the_door, IDENTIFICATION, uid_field="akadmin") is None
            assert give(half_way, PASSWORD, password=cluster.password) is None
        assert eventually(lambda: look(half_way), bool) == PASSWORD
        faults.start_postgres(cluster)
        finish(half_way, cluster.password)
    assert watch.components == {PASSWORD}
    assert set(watch.statuses) == {200}, "a page from the cache needs no PostgreSQL"
    assert eventually(lambda: give(at_the_door, IDENTIFICATION, uid_field="akadmin"), bool) == PASSWORD
    finish(at_the_door, cluster.password)


def test_the_order_of_a_login_waits_for_postgres_and_is_done_once(cluster: Cluster) -> None:
    password = made(cluster, "waiter")
    visitor = identified(cluster.url, "waiter")
    with faults.locked(cluster, "executor.logins") as lost:
        # The password is right and the transition accepted; its order waits, so nobody is told that they are logged in.
        assert give(visitor, PASSWORD, password=password) is None
        faults.kill_postgres(cluster)
        lost()
    assert look(visitor) is None
    assert visitor.who() is None
    faults.start_postgres(cluster)
    assert eventually(lambda: look(visitor), bool) == DONE
    assert visitor.who() == "waiter"
    assert eventually(lambda: logins(cluster, "waiter"), bool) == 1
    time.sleep(2)  # what would be published twice, would be by now
    assert logins(cluster, "waiter") == 1


def logins(cluster: Cluster, name: str) -> int:
    told = (body for body in faults.bodies(cluster, topics.DIRECTORY_EVENTS, EVENTS_CODEC) if isinstance(body, UserChanged))
    return sum(body.what == "logged_in" and body.facts["username"] == name for body in told)


def test_the_broker_dies_in_the_middle_of_logins_and_comes_back(cluster: Cluster) -> None:
    at_the_door, half_way, reader = at_the_beginning(cluster), identified(cluster.url), identified(cluster.url)
    member = logged_in(cluster.url, "akadmin", cluster.password)
    with seeing.watched(reader) as watch, seeing.watched(member, ME) as warm:
        cluster.broker.kill()
        for _ in range(3):
            assert give(at_the_door, IDENTIFICATION, uid_field="akadmin") is None
            assert give(half_way, PASSWORD, password=cluster.password) is None
            assert look(Visitor(cluster.url)) is None
            seeing.refused(half_way.ask(ME), 403)
        time.sleep(STALE_S)
        cluster.broker.start()
        finish(half_way, cluster.password)
        assert eventually(lambda: give(at_the_door, IDENTIFICATION, uid_field="akadmin"), bool) == PASSWORD
        finish(at_the_door, cluster.password)
    assert watch.components == {PASSWORD}
    assert warm.statuses[200], "PostgreSQL was there to be asked"


def test_the_broker_stands_still_for_longer_than_anybody_believes_in_it(cluster: Cluster) -> None:
    half_way, stranger = identified(cluster.url), Visitor(cluster.url)
    with faults.stopped(cluster.broker.process), seeing.watched(stranger) as watch:
        until = time.monotonic() + 2 * STALE_S
        while time.monotonic() < until:
            assert give(half_way, PASSWORD, password=cluster.password) is None
    assert set(watch.statuses) == {503}
    finish(half_way, cluster.password)


def test_a_broker_that_stands_still_for_a_little_more_than_a_second_sets_nobody_back(cluster: Cluster) -> None:
    """So long that a transition is not acknowledged in time, and so short that its visitor hears of that: it stands in the log all the same."""
    with people(cluster.url, cluster.password) as came:
        for _ in range(3):
            for still_s in (1.1, 1.3, 1.6):
                with faults.stopped(cluster.broker.process):
                    time.sleep(still_s)
                time.sleep(0.6)
        before = came()
        eventually(came, lambda count: count >= before + 8)


@pytest.mark.long
def test_the_broker_dies_again_while_everybody_takes_over(cluster: Cluster) -> None:
    half_way = identified(cluster.url)
    for down_s in (1, 1, 20):
        cluster.broker.kill()
        assert give(half_way, PASSWORD, password=cluster.password) is None
        time.sleep(down_s)
        cluster.broker.start()
        time.sleep(0.5 * down_s)
    finish(half_way, cluster.password)


def test_a_login_that_was_ended_meanwhile_is_never_believed(cluster: Cluster) -> None:
    password = made(cluster, "leaver")
    leaver, member = logged_in(cluster.url, "leaver", password), logged_in(cluster.url, "akadmin", cluster.password)
    cluster.broker.kill()
    cluster.sluice("users", "disable", "leaver")
    time.sleep(STALE_S)
    # The tail is behind: PostgreSQL is asked, and knows.
    with seeing.watched(leaver, ME, (403, 503)) as told, seeing.watched(member, ME):
        time.sleep(STALE_S)
    assert told.statuses[403]
    faults.kill_postgres(cluster)
    time.sleep(STALE_S)
    # Neither is there to be asked: nobody is told anything.
    with seeing.watched(leaver, ME, (403, 503)), seeing.watched(member, ME, (503,)):
        time.sleep(1)
    with seeing.watched(leaver, ME, (403, 503)), seeing.watched(member, ME):
        faults.start_postgres(cluster)
        cluster.broker.start()
        assert eventually(lambda: member.ask(ME).status, lambda status: status == 200)
        eventually(cluster.members["executor"].is_ready, bool)
        assert eventually(lambda: leaver.ask(ME).status, lambda status: status != 503) == 403


def test_a_record_that_no_client_can_decode_is_passed_on_every_topic(cluster: Cluster) -> None:
    half_way, spoilt = identified(cluster.url), set()
    for topic in TOPICS.values():
        for partition in range(topic.partitions):
            offset = asyncio.run(poison.put(cluster.broker.bootstrap, topic.name, partition, POISON, poison.foreign_header_name))
            spoilt.add((topic.name, partition, offset))
    finish(half_way, cluster.password)
    logged_in(cluster.url, "akadmin", cluster.password)
    read = {topics.STEPS, topics.SESSIONS, topics.PLANS, topics.VERDICTS, topics.PLAN_REQUESTS, topics.POLICY_REQUESTS, topics.KEYS}
    wanted = {one for one in spoilt if one[0] in read}
    eventually(lambda: wanted - dead(cluster), lambda missing: not missing)


def dead(cluster: Cluster) -> set[tuple[str, int, int]]:
    """Topic, partition and offset of every dead letter."""
    told = (body for body in faults.bodies(cluster, topics.DEAD_LETTERS, FAILURES_CODEC) if isinstance(body, RecordRefused))
    return {(body.topic, body.partition, body.offset) for body in told}


def test_a_page_costs_no_sql(cluster: Cluster) -> None:
    password = made(cluster, "reader")
    # An edge with a role of its own in the database, so that PostgreSQL's log tells whose a statement is.
    with faults.one_more(cluster, "edge", "edge", {"SLUICE_DATABASE": cluster.uris["sluice_admin"]}) as edge:
        visitor, page = identified(edge.url), f"/if/flow/{AUTHENTICATION}/"
        with faults.statements(cluster, "sluice_admin") as cold:
            member = logged_in(edge.url, "reader", password)
        assert cold(), "a login's first look-up is a statement, or else this test sees none"
        assert eventually(lambda: logins(cluster, "reader"), bool) == 1
        time.sleep(5)  # the edge has heard of it too by now, and what it knew of the user is dropped
        reader = Visitor(edge.url)
        address = reader.send_form(page, uid_field="reader")
        for one, path in ((visitor, page), (reader, address), (member, ME)):
            eventually(lambda one=one, path=path: one.ask(path).status, lambda status: status == 200)  # type: ignore[misc]
        steps = len(faults.records(cluster, topics.STEPS))
        with faults.statements(cluster, "sluice_admin") as warm:
            for _ in range(100):
                assert look(visitor) == PASSWORD
                assert 'id="password"' in reader.ask(address).body
                assert member.ask(ME).status == 200
        assert warm() == []
        assert len(faults.records(cluster, topics.STEPS)) == steps, "the owner was asked, who may have asked PostgreSQL"


def test_takeovers(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """From `kill -9` of a worker to the first answered step of each session that it owned; told, not judged."""
    took: list[float] = []
    with faults.one_more(cluster, "edge", "edge") as edge, faults.one_more(cluster, "second", "worker"):
        visitors = [identified(edge.url) for _ in range(16)]
        for n in range(seeing.KILLS):
            # The next victim owns half of the partitions again.
            seeing.first_answers(visitors, time.monotonic())
            victim = ("second", "executor")[n % 2]
            cluster.kill(victim)
            took += [one for one in seeing.first_answers(visitors, time.monotonic()) if one > 3.0]  # the others' owner lives
            cluster.restart(victim).wait_ready()
    assert took
    assert max(took) < 60
    with capsys.disabled():
        sys.stdout.write(f"\ntakeover after kill -9, {seeing.KILLS} kills, {len(took)} sessions: {seeing.percentiles(took)}\n")
