"""A worker stands still for longer than its session in the group lasts, and goes on where it stood: what it still writes harms nobody.

Before this each pause under load could leave older states behind newer ones, and compaction kept the older (architecture §4.6).
"""

import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from deploy.cluster import Cluster
from shared.contracts import topics
from shared.contracts.errors import BadRecord
from shared.contracts.states import CODEC, SessionState, writer_of
from tests.e2e.cluster import faults, history
from tests.e2e.cluster.seeing import DONE, VISITORS, eventually, identified, people

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
ASLEEP_S = 10.0
"""The group forgets a member after 6 s."""


def newest_is_kept(cluster: Cluster) -> int:
    """Of every session compaction leaves the newest state that was written, and under no key an older one follows; how many there are."""
    by_key: dict[bytes, int] = {}
    newest: dict[str, int] = defaultdict(int)
    for record in faults.records(cluster, topics.STATE):
        key = record.key or b""
        if record.value is None:
            by_key.pop(key, None)
            continue
        try:
            body = CODEC.decode(record, 2**20).body
        except BadRecord:
            continue
        assert isinstance(body, SessionState)
        assert by_key.get(key, 0) <= body.version, "an older state took the place of a newer one"
        by_key[key] = body.version
        newest[body.session] = max(newest[body.session], body.version)
    left: dict[str, int] = defaultdict(int)
    for key, version in by_key.items():
        session, _ = writer_of(key.decode())
        left[session] = max(left[session], version)
    assert left == newest
    return len(newest)


def states_are_the_history(cluster: Cluster) -> bool:
    """Whether what is written of every session is what its accepted history comes to."""
    told = history.read(cluster.broker.bootstrap)
    newest: dict[str, int] = defaultdict(int)
    for record in faults.records(cluster, topics.STATE):
        if record.value is not None:
            body = CODEC.decode(record, 2**20).body
            assert isinstance(body, SessionState)
            newest[body.session] = max(newest[body.session], body.version)
    return {session: len(steps) for session, steps in told.accepted.items()} == newest


def once(cluster: Cluster) -> None:
    with faults.paused(cluster, "second"):
        time.sleep(ASLEEP_S)


def twice(cluster: Cluster) -> None:
    for _ in range(2):
        once(cluster)
        time.sleep(1.0)


def while_postgres_is_away(cluster: Cluster) -> None:
    with faults.paused(cluster, "second"), faults.postgres_paused(cluster):
        time.sleep(ASLEEP_S / 2)
        cluster.resume("second")
        time.sleep(1.0)
        cluster.pause("second")
        time.sleep(ASLEEP_S)


def while_the_broker_is_cut_off(cluster: Cluster) -> None:
    with faults.paused(cluster, "second"):
        time.sleep(ASLEEP_S - 3)
        with faults.stopped(cluster.broker.process):
            cluster.resume("second")
            time.sleep(3.0)


def in_the_middle_of_a_takeover(cluster: Cluster) -> None:
    cluster.kill("third")
    time.sleep(6.3)  # the group notices after 6
    once(cluster)
    cluster.restart("third").wait_ready()


@pytest.mark.parametrize(
    "happens",
    [
        twice,
        while_postgres_is_away,
        *(pytest.param(one, marks=pytest.mark.long) for one in (while_the_broker_is_cut_off, in_the_middle_of_a_takeover)),
    ],
)
def test_a_worker_sleeps_under_load(cluster: Cluster, happens: Callable[[Cluster], None]) -> None:
    with (
        faults.one_more(cluster, "edge", "edge") as edge,
        faults.one_more(cluster, "second", "worker"),
        faults.one_more(cluster, "third", "worker"),
    ):
        started = {name: pid for name, pid in faults.pids(cluster).items() if name != "third"}
        with people(edge.url, cluster.password) as came:
            eventually(came, lambda count: count >= VISITORS)
            happens(cluster)
            before = came()
            eventually(came, lambda count: count >= before + VISITORS)
        faults.all_well(cluster, started)
        assert newest_is_kept(cluster)
        assert eventually(lambda: states_are_the_history(cluster), bool, pause_s=1)
        assert len(set(history.read(cluster.broker.bootstrap).logins())) >= came()


@pytest.mark.parametrize("by", ["the edge", "the edge's process"])
def test_the_lost_reply_of_a_log_in_is_given_again_to_who_sends_the_same_password(cluster: Cluster, by: str) -> None:
    """Whoever sends the same body again gets the same reply, its new cookie included, also from another edge (architecture §3)."""
    with faults.one_more(cluster, "edge", "edge") as edge, faults.one_more(cluster, "other", "edge") as other:
        visitor = identified(edge.url)
        before = len(history.read(cluster.broker.bootstrap).logins())
        visitor.hang_up("ak-stage-password", password=cluster.password)
        assert eventually(lambda: len(history.read(cluster.broker.bootstrap).logins()), lambda count: count > before) == before + 1
        if by != "the edge":
            cluster.kill("edge")
        visitor.base_url = other.url
        assert visitor.who() is None
        assert visitor.answer("ak-stage-password", password=cluster.password)["component"] == DONE
        assert visitor.who() == "akadmin"
        assert len(history.read(cluster.broker.bootstrap).logins()) == before + 1
        if by != "the edge":
            cluster.restart("edge").wait_ready()
