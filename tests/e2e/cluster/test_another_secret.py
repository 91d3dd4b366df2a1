"""`SLUICE_SECRET_KEY`: an executor with another one is refused before it joins; changing it by rolling restarts logs nobody out.

docs/operating.md has the procedure, in three restarts of all executors; this does them, with people at work.
"""

import secrets
from collections.abc import Iterator

import pytest

from deploy.child import ChildFailed
from deploy.cluster import Cluster
from services.executor.directory.secret_key_check import SecretKeyDiffers
from shared.contracts import topics
from shared.contracts.directory import KEYS_CODEC
from tests.e2e.cluster import faults
from tests.e2e.cluster.seeing import ME, eventually, finish, identified, logged_in
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> Iterator[Cluster]:
    """Two executors, so that one serves while the other is restarted."""
    cluster.add("executor", "second").wait_ready()
    yield cluster
    cluster.remove("second")


@pytest.mark.parametrize("role", ["edge", "worker", "both"])
def test_an_executor_with_another_secret_ends_before_it_joins(pair: Cluster, role: str) -> None:
    half_way, keys = identified(pair.url), len(faults.bodies(pair, topics.KEYS, KEYS_CODEC))
    foreign = pair.add("executor", "foreign", ("--role", role), {"SLUICE_SECRET_KEY": secrets.token_urlsafe(48)})
    try:
        eventually(foreign.process.is_alive, lambda alive: not alive)
        assert foreign.process.exit_code == 2
        assert SecretKeyDiffers.code in foreign.process.tail()
        for _ in range(3):
            logged_in(pair.url, "akadmin", pair.password)
        finish(half_way, pair.password)
        assert len(faults.bodies(pair, topics.KEYS, KEYS_CODEC)) <= keys + 1, "it made a key"
    finally:
        pair.remove("foreign")


def test_one_that_takes_ours_and_would_make_with_another_makes_with_ours(pair: Cluster) -> None:
    """The others do not take the other one: they would believe nothing that it says, and it would own a third of the partitions."""
    half_way = identified(pair.url)
    ours = (pair.folder / "secret.key").read_text()
    foreign = pair.add("executor", "foreign", (), {"SLUICE_SECRET_KEY": secrets.token_urlsafe(48), "SLUICE_SECRET_KEY_PREVIOUS": ours})
    try:
        foreign.wait_ready()
        half_way.base_url = foreign.url
        finish(half_way, pair.password)
        half_way.base_url = pair.url
        assert half_way.who() == "akadmin"
        for url in (pair.url, pair.members["second"].url, foreign.url) * 2:
            logged_in(url, "akadmin", pair.password)
        pair.restart("second").wait_ready()  # its key is still the installation's
    finally:
        pair.remove("foreign")


@pytest.mark.parametrize("command", [("users", "unlock", "akadmin"), ("sessions", "repair", "--show")])
def test_a_command_with_another_secret_is_refused(pair: Cluster, command: tuple[str, ...]) -> None:
    path = pair.folder / "secret.key"
    right = path.read_text()
    path.write_text(secrets.token_urlsafe(48))
    try:
        with pytest.raises(ChildFailed, match=SecretKeyDiffers.code):
            pair.sluice(*command)
    finally:
        path.write_text(right)
    pair.sluice(*command)


@pytest.mark.parametrize("first", ["as the docs say", pytest.param("the new one at once", marks=pytest.mark.long)])
def test_the_secret_is_changed_while_people_log_in(pair: Cluster, first: str) -> None:
    file = pair.folder / "secret.key"  # the command line's too
    old, new = file.read_text(), secrets.token_urlsafe(48)
    token = pair.sluice("users", "create-token", "akadmin").strip()
    member = logged_in(pair.url, "akadmin", pair.password)
    before = (old, new) if first == "as the docs say" else (new, old)
    for ring in (before, (new, old), (new,)):
        half_way = [identified(pair.members[name].url) for name in ("executor", "second")]
        for name in ("executor", "second"):
            visitor = half_way.pop()
            member.base_url = visitor.base_url = restarted(pair, name, ring)
            assert eventually(lambda: member.ask(ME), lambda answer: answer.status != 503).status == 200
            assert Visitor(member.base_url).patiently(ME, token=token).status == 200
            finish(visitor, pair.password)
    file.write_text(new)
    logged_in(pair.url, "akadmin", pair.password)
    late = pair.add("executor", "late", environment={"SLUICE_SECRET_KEY": old})
    try:
        eventually(late.process.is_alive, lambda alive: not alive)
        assert SecretKeyDiffers.code in late.process.tail()
    finally:
        pair.remove("late")


def restarted(cluster: Cluster, name: str, ring: tuple[str, ...]) -> str:
    """Stop an executor in good order and start it with this ring; where it is then."""
    cluster.remove(name)
    settings = {"SLUICE_SECRET_KEY": ring[0], **({"SLUICE_SECRET_KEY_PREVIOUS": ring[1]} if len(ring) > 1 else {})}
    member = cluster.add("executor", name, environment=settings)
    member.wait_ready()
    return member.url
