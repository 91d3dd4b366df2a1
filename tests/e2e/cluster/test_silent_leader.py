"""The process that carries PostgreSQL's outbox into the log falls silent, in each way that there is. Whoever ends a right through
another process and is told that it is done, has ended it; and people log in for as long as it lasts (architecture §4.4, §4.13).

Two executors, each edge and worker. The first one leads, and reaches PostgreSQL by a wire that can be cut. An epoch key is made every
few seconds, so that one that nobody hears of is soon missed.
"""

import asyncio
import copy
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from deploy.cluster import Cluster
from deploy.kafka.broker import missing
from tests.e2e.cluster import faults
from tests.e2e.cluster.seeing import DONE, LOGIN, ME, eventually, logged_in, shown
from tests.e2e.visitor import INVALIDATION, Visitor
from tests.loopback import Loopback, by_wire, loopback, socket_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
KEY_S = 5
LEASE_S = 3
SILENT_S = 3 * KEY_S
"""Longer than the newest key is sealed to, and than any lease."""
HEARD_S = 15.0
"""A generous bound for what takes less than a second, and less than the silence lasts."""
LOG_OUT = f"/api/v3/flows/executor/{INVALIDATION}/?query="


@dataclass
class World:
    """The cluster, and the executor that does not fall silent."""

    cluster: Cluster
    wire: Loopback
    url: str
    token: str

    def holder(self) -> str:
        """Who leads, "" for nobody."""

        async def ask() -> str:
            connection = await asyncpg.connect(self.cluster.uris["executor"])
            try:
                query = "SELECT holder FROM executor.outbox_lead WHERE until > clock_timestamp()"
                return await connection.fetchval(query) or ""
            finally:
                await connection.close()

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lacking = missing()
    if lacking:
        pytest.skip(f"no Kafka here: {lacking}")
    environment = {"SLUICE_ATTEMPTS_PER_ADDRESS": "100000", "SLUICE_EPOCH_KEY_SECONDS": str(KEY_S)}
    cluster = Cluster(tmp_path_factory.mktemp("leader") / "c", environment, quick_start=True)
    try:
        cluster.start()
        with loopback(socket_of(cluster.uris["executor"])) as wire:
            cluster.remove("executor")
            cluster.add("executor", environment={"SLUICE_DATABASE": by_wire(cluster.uris["executor"], wire.port)}).wait_ready()
            eventually(lambda: Visitor(cluster.url).ask(LOGIN).status, lambda status: status == 200, pause_s=1)
            logged_in(cluster.url, "akadmin", cluster.password)
            second = cluster.add("executor", "second")
            second.wait_ready()
            token = cluster.sluice("users", "create-token", "akadmin").strip()
            yield World(cluster, wire, second.url, token)
    finally:
        cluster.stop()


@contextmanager
def standing_still(world: World) -> Iterator[None]:
    with faults.paused(world.cluster, "executor"):
        yield


@contextmanager
def cut_off(world: World) -> Iterator[None]:
    world.wire.cut()
    try:
        yield
    finally:
        world.wire.mend()


@contextmanager
def killed(world: World) -> Iterator[None]:
    world.cluster.kill("executor")
    try:
        yield
    finally:
        world.cluster.restart("executor").wait_ready()


@contextmanager
def kept_from_renewing(world: World) -> Iterator[None]:
    """PostgreSQL is slow where it is asked who leads: nobody leads at all."""
    with faults.locked(world.cluster, "executor.outbox_lead"):
        yield


Silence = Callable[[World], AbstractContextManager[None]]
SILENCES = (standing_still, cut_off, *(pytest.param(one, marks=pytest.mark.long) for one in (killed, kept_from_renewing)))


def make_first_the_leader(world: World) -> None:
    """The second one stands still for longer than a lease, so that the first one leads; then it has nothing to take over."""
    with faults.paused(world.cluster, "second"):
        time.sleep(2 * LEASE_S)
        assert eventually(world.holder, bool)
    eventually(world.cluster.members["second"].is_ready, bool)


def somebody(world: World, name: str) -> tuple[Visitor, Visitor, int]:
    """Somebody who is logged in at the second executor, a copy of their browser, and their number."""
    made = Visitor(world.url).ask("/api/v3/core/users/", {"username": name, "name": name}, world.token).json()
    assert post(world, f"/api/v3/core/users/{made['pk']}/set_password/", {"password": f"{name}-password"}) == 204
    visitor, old = logged_in(world.url, name, f"{name}-password"), Visitor(world.url)
    for cookie in visitor.jar:
        old.jar.set_cookie(copy.copy(cookie))
    assert old.who() == name
    return visitor, old, int(old.patiently(ME).json()["user"]["pk"])


def is_over(old: Visitor) -> None:
    eventually(lambda: old.ask(ME).status, lambda status: status == 403, patience_s=HEARD_S)


def log_out(visitor: Visitor) -> bool:
    """Whether they were told that it is done; a session whose worker is silent is not."""
    deadline = time.monotonic() + HEARD_S
    while time.monotonic() < deadline:
        if shown(visitor.ask(LOG_OUT)) == DONE:
            return True
        time.sleep(0.5)
    return False


def post(world: World, path: str, body: object) -> int:
    return eventually(lambda: Visitor(world.url).ask(path, body, world.token).status, lambda status: status != 503)


def delete(world: World, path: str) -> int:
    request = urllib.request.Request(world.url + path, method="DELETE", headers={"Authorization": f"Bearer {world.token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return int(answer.status)


@pytest.mark.parametrize("silence", SILENCES)
def test_what_was_ended_is_over_and_people_log_in(world: World, silence: Silence) -> None:
    make_first_the_leader(world)
    name = silence.__name__.replace("_", "")
    leavers = [somebody(world, f"{name}-leaver{n}") for n in range(4)]
    disabled, changed, gone = (somebody(world, f"{name}-{what}") for what in ("disabled", "changed", "gone"))
    token = world.cluster.sluice("users", "create-token", "akadmin", "--identifier", f"{name}-ci").strip()
    assert Visitor(world.url).ask(ME, token=token).status == 200
    started = {one: pid for one, pid in faults.pids(world.cluster).items() if one != "executor" or silence is not killed}
    with silence(world), ThreadPoolExecutor(len(leavers)) as pool:
        began = time.monotonic()
        left = list(pool.map(log_out, [visitor for visitor, _, _ in leavers]))
        for (_, old, _), done in zip(leavers, left, strict=True):
            if done:
                is_over(old)
        assert any(left), "nobody was told anything, so nothing was shown"
        assert post(world, f"/api/v3/core/users/{changed[2]}/set_password/", {"password": "another-password-7"}) == 204
        is_over(changed[1])
        assert delete(world, f"/api/v3/core/users/{gone[2]}/") == 204
        is_over(gone[1])
        world.cluster.sluice("users", "disable", f"{name}-disabled")
        world.cluster.sluice("users", "revoke-token", f"{name}-ci")
        if silence is not kept_from_renewing:  # there is no log to tell by a command, and it says so
            is_over(disabled[1])
            eventually(lambda: Visitor(world.url).ask(ME, token=token).status, lambda status: status == 403, patience_s=HEARD_S)
        time.sleep(max(0.0, began + SILENT_S - time.monotonic()))
        assert eventually(lambda: new_log_in(world), bool)
    for _, old, _ in (disabled, changed, gone, *(leaver for leaver, done in zip(leavers, left, strict=True) if done)):
        is_over(old)
    faults.all_well(world.cluster, started)
    logged_in(world.url, "akadmin", world.cluster.password)


def new_log_in(world: World) -> bool:
    """Whether a new visitor gets in; one whose session falls to the silent worker does not, until that is found out."""
    visitor = Visitor(world.url)
    for body in (None, {"component": "ak-stage-identification", "uid_field": "akadmin"}):
        shown(visitor.ask(LOGIN, body))
    answer = visitor.ask(LOGIN, {"component": "ak-stage-password", "password": world.cluster.password})
    return answer.status == 200 and shown(answer) == DONE
