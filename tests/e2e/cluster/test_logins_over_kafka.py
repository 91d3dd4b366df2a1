"""Logins over a real broker, with four processes and more, some of which die or stand still meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from deploy.cluster import Cluster
from tests.e2e.cluster import history
from tests.e2e.visitor import INVALIDATION, Visitor

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]
T = TypeVar("T")
PATIENCE_S = 120.0
"""Longer than a takeover (6.3 s) and the rebalances around it."""


def eventually(ask: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Ask again, as a browser's reload does, until the answer is good."""
    deadline = time.monotonic() + PATIENCE_S
    seen: object = None
    while True:
        try:
            seen = answer = ask()
            if good(answer):
                return answer
        except OSError as away:
            seen = away
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)


def log_in(url: str, password: str) -> Visitor:
    visitor = Visitor(url)
    end = visitor.log_in("akadmin", password)
    assert end["component"] == "xak-flow-redirect", end
    return visitor


def finish(visitor: Visitor, password: str) -> None:
    """Give the password until the flow has ended: a step that met a takeover is simply sent again."""

    def answered() -> str:
        challenge = visitor.challenge()
        if challenge.get("component") == "ak-stage-password":
            challenge = visitor.answer("ak-stage-password", password=password)
        return str(challenge.get("component"))

    eventually(answered, lambda component: component == "xak-flow-redirect" or visitor.who() == "akadmin")


def test_a_whole_login_and_log_out(cluster: Cluster) -> None:
    visitor = log_in(cluster.url, cluster.password)
    assert visitor.who() == "akadmin"
    assert visitor.challenge(INVALIDATION)["component"] == "xak-flow-redirect"
    assert visitor.who() is None


def test_a_second_executor_joins_and_the_first_is_killed_and_the_logins_go_on(cluster: Cluster) -> None:
    half_way = [Visitor(cluster.url) for _ in range(8)]
    for visitor in half_way:
        assert visitor.identify("akadmin")["component"] == "ak-stage-password"
    second = cluster.add("executor", "executor-2")
    second.wait_ready()
    cluster.kill("executor")
    for visitor in half_way:
        visitor.base_url = second.url
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda visitor: finish(visitor, cluster.password), half_way))
    assert {visitor.who() for visitor in half_way} == {"akadmin"}
    cluster.restart("executor").wait_ready()
    cluster.remove("executor-2")


def test_nobody_believes_a_zombie(cluster: Cluster) -> None:
    eventually(lambda: Visitor(cluster.url).challenge(), lambda challenge: challenge.get("component") == "ak-stage-identification")
    edge = cluster.add("executor", "edge", ("--role", "edge"))
    edge.wait_ready()
    visitors = [Visitor(edge.url) for _ in range(8)]
    for visitor in visitors:
        assert visitor.identify("akadmin")["component"] == "ak-stage-password"
    cluster.pause("executor")
    # These steps lie in the paused worker's sockets or in the log; the one who takes over runs them.
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(visitor.answer, "ak-stage-password", password=cluster.password) for visitor in visitors]
        cluster.add("executor", "successor", ("--role", "worker")).wait_ready()
        [future.result() for future in sent]
        list(pool.map(lambda visitor: finish(visitor, cluster.password), visitors))
    cluster.resume("executor")
    eventually(lambda: Visitor(cluster.url).challenge(), lambda challenge: challenge.get("component") == "ak-stage-identification")
    assert {visitor.who() for visitor in visitors} == {"akadmin"}
    found = history.read(cluster.broker.bootstrap)
    logins = found.logins()
    assert len(logins) == len(set(logins)), "a session logged in twice"
    for steps in found.accepted.values():
        times = [step.at_us for step in steps]
        assert times == sorted(times)
    for name in ("edge", "successor"):
        cluster.remove(name)


def test_five_workers_at_once(cluster: Cluster) -> None:
    names = [f"worker-{n}" for n in range(4)]
    for name in names:
        cluster.add("executor", name, ("--role", "worker"))
    for name in names:
        cluster.members[name].wait_ready()
    eventually(lambda: Visitor(cluster.url).challenge(), lambda challenge: challenge.get("component") == "ak-stage-identification")

    def one(_: int) -> str | None:
        visitor = Visitor(cluster.url)
        eventually(visitor.challenge, lambda challenge: challenge.get("component") == "ak-stage-identification")
        visitor.answer("ak-stage-identification", uid_field="akadmin")
        finish(visitor, cluster.password)
        return visitor.who()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(24))) == {"akadmin"}
    for name in names:
        cluster.remove(name)
