"""What is measured: Sluice embedded, and Sluice over Kafka with four processes, each by groups of processes."""

import csv
import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from argon2.low_level import Type, hash_secret

from deploy.cluster import Cluster
from tests.bench import proc
from tests.e2e.sluice_process import SluiceUp

USERS: Final = 200
PASSWORD: Final = b"bench-password"
FREE: Final = (1, 8, 1)
ARGON2: Final = (2, 19456, 1)
"""Passes, KiB, lanes: the product's target, and a hash that costs next to nothing."""


@dataclass(frozen=True)
class Group:
    """Processes whose cost is one figure: the tree of `pid` but for the trees of `without`."""

    pid: int
    without: frozenset[int] = frozenset()

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return proc.cpu_s(self.pid, self.without)

    def memory_mib(self, kind: str) -> float:
        """`Rss` or `Pss` in MiB."""
        return proc.memory_mib(self.pid, kind, self.without)


@dataclass(frozen=True)
class Target:
    """A running Sluice. `start_s`: from the command to being ready to log in."""

    name: str
    base: str
    groups: Mapping[str, Group]
    start_s: float


def hashed(cost: tuple[int, int, int]) -> str:
    """The hash of the bench users' password."""
    passes, memory, lanes = cost
    return hash_secret(PASSWORD, b"0123456789abcdef", passes, memory, lanes, 32, Type.ID).decode()


def users_csv(cost: tuple[int, int, int]) -> str:
    """`sluice users import` takes this: 200 users whose password has been hashed already."""
    out, known = io.StringIO(), hashed(cost)
    writer = csv.writer(out)
    writer.writerow(("username", "email", "name", "password"))
    writer.writerows((f"bench{n}", f"bench{n}@example.com", f"Bench {n}", known) for n in range(USERS))
    return out.getvalue()


def environment(cost: tuple[int, int, int]) -> dict[str, str]:
    """Settings beside the defaults. Limits per address are out of the way: all visitors come from one."""
    free = {"SLUICE_TEST": "1", "SLUICE_HASH_TEST_COST": "1"} if cost == FREE else {}
    return {"SLUICE_ATTEMPTS_PER_ADDRESS": "100000000", **free}


@contextmanager
def embedded(cost: tuple[int, int, int]) -> Iterator[Target]:
    """`sluice up` in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench") as folder:
        up = SluiceUp(Path(folder) / "data", environment(cost))
        began = time.monotonic()
        with up:
            start_s = time.monotonic() - began
            _import(up.command, Path(folder), cost)
            postgres = next(p for p in proc.tree(up.pid) if "postgres" in Path(f"/proc/{p}/comm").read_text())
            groups = {"sluice": Group(up.pid, frozenset({postgres})), "postgres": Group(postgres)}
            yield Target("embedded", up.base_url, groups, start_s)


@contextmanager
def over_kafka(cost: tuple[int, int, int]) -> Iterator[Target]:
    """A broker, PostgreSQL and four services as processes."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench") as folder:
        cluster = Cluster(Path(folder) / "cluster", environment(cost))
        began = time.monotonic()
        cluster.start()
        try:
            start_s = time.monotonic() - began
            _import(cluster.sluice, Path(folder), cost)
            groups = {name: Group(member.process.pid) for name, member in cluster.members.items()}
            groups |= {"broker": Group(cluster.broker.process.pid), "postgres": Group(cluster.postgres.pid)}
            yield Target("over Kafka", cluster.url, groups, start_s)
        finally:
            cluster.stop()


def _import(command: object, folder: Path, cost: tuple[int, int, int]) -> None:
    path = folder / "users.csv"
    path.write_text(users_csv(cost))
    assert callable(command)
    command("users", "import", str(path))
