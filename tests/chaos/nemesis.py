"""What happens to a cluster meanwhile: drawn from a seed, one after the other, each with an end."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from deploy.cluster import Cluster
from shared.contracts import topics
from tests.e2e.cluster import faults

EXECUTORS: Final = ("executor", "executor-2")
QUIET_S: Final = (1.0, 4.0)
Fault = Callable[[Cluster, random.Random], str]


def kill_an_executor(cluster: Cluster, draw: random.Random) -> str:
    """Without warning, and started again."""
    name = draw.choice(EXECUTORS)
    cluster.kill(name)
    time.sleep(draw.uniform(0, 8))
    cluster.restart(name)
    return f"killed {name}"


def restart_an_executor(cluster: Cluster, draw: random.Random) -> str:
    """In good order, as a rolling restart does."""
    name = draw.choice(EXECUTORS)
    cluster.restart(name)
    return f"restarted {name}"


def stop_an_executor(cluster: Cluster, draw: random.Random) -> str:
    """It stands still for longer than its group waits, or nearly, and goes on where it stood."""
    name, seconds = draw.choice(EXECUTORS), draw.choice((1.0, 2.5, 4.0, 7.0, 12.0))
    with faults.paused(cluster, name):
        time.sleep(seconds)
    return f"stopped {name} for {seconds} s"


def stop_twice(cluster: Cluster, draw: random.Random) -> str:
    """One executor after the other: who took over stands still while it does."""
    first, second = draw.sample(EXECUTORS, 2)
    with faults.paused(cluster, first):
        time.sleep(7.0)
        with faults.paused(cluster, second):
            time.sleep(draw.uniform(0.5, 3.0))
    return f"stopped {first}, then {second} too"


def one_more_worker(cluster: Cluster, draw: random.Random) -> str:
    """A worker joins and leaves again."""
    cluster.add("executor", "extra", ("--role", "worker"))
    time.sleep(draw.uniform(2, 8))
    cluster.remove("extra")
    return "added a worker and removed it"


def kill_a_helper(cluster: Cluster, draw: random.Random) -> str:
    """Planner or policy."""
    name = draw.choice(("planner", "policy", "catalog"))
    cluster.kill(name)
    time.sleep(draw.uniform(0, 3))
    cluster.restart(name)
    return f"killed {name}"


def stop_the_broker(cluster: Cluster, draw: random.Random) -> str:
    """It stands still, connections stay."""
    seconds = draw.choice((1.0, 4.0, 9.0))
    with faults.stopped(cluster.broker.process):
        time.sleep(seconds)
    return f"stopped the broker for {seconds} s"


def kill_the_broker(cluster: Cluster, draw: random.Random) -> str:
    """And start it on the same log."""
    cluster.broker.kill()
    time.sleep(draw.uniform(0, 2))
    cluster.broker.start()
    return "killed the broker"


def stop_postgres(cluster: Cluster, draw: random.Random) -> str:
    """All its processes stand still."""
    seconds = draw.choice((0.5, 2.0, 6.0))
    with faults.postgres_paused(cluster):
        time.sleep(seconds)
    return f"stopped PostgreSQL for {seconds} s"


def kill_postgres(cluster: Cluster, draw: random.Random) -> str:
    """Without warning."""
    faults.kill_postgres(cluster)
    time.sleep(draw.uniform(0, 2))
    faults.start_postgres(cluster)
    return "killed PostgreSQL"


def say_it_again(cluster: Cluster, draw: random.Random) -> str:
    """Records that are in the log are appended once more, byte by byte: at least once means that too."""
    name = draw.choice((topics.STEPS, topics.SESSIONS, topics.PLANS, topics.VERDICTS))
    found = faults.records(cluster, name)
    again = draw.sample(found, min(20, len(found)))
    faults.append(cluster, again)
    return f"appended {len(again)} records of {name} again"


FAULTS: Final[tuple[Fault, ...]] = (
    kill_an_executor, restart_an_executor, stop_an_executor, stop_an_executor, stop_twice, one_more_worker, kill_a_helper,
    stop_the_broker, kill_the_broker, stop_postgres, kill_postgres, say_it_again,
)  # fmt: skip


def harass(cluster: Cluster, seed: int, seconds: float, faults_: Sequence[Fault] = FAULTS) -> Iterator[str]:
    """One fault after the other until the time is over; what happened, as it happens.

    To be run by the main thread: a member's life is tied to the thread that starts it (`deploy.child`).
    """
    draw, until = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(draw.uniform(*QUIET_S))
        yield f"{time.strftime('%H:%M:%S')} {draw.choice(faults_)(cluster, draw)}"
