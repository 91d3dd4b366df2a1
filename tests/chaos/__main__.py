"""`make chaos`: people log in and out of a real cluster while its parts are killed, stopped and started; then a checker judges.

A seed says which faults come when (what people do meanwhile depends on the machine). Ends with 1 and a list if anybody was told
a wrong thing, a step was bypassed or doubled, an acknowledged log-in was lost, or a state is not what its history says.
"""

import argparse
import random
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from deploy.cluster import Cluster
from deploy.kafka.broker import missing
from tests.chaos import checker, nemesis
from tests.chaos.people import Person, Told
from tests.e2e.cluster.seeing import DONE, LOGIN, eventually
from tests.e2e.visitor import Visitor

PEOPLE: Final = 8
JOIN_S: Final = 300.0
SETTINGS: Final = {"SLUICE_ATTEMPTS_PER_ADDRESS": "1000000"}


def chaos(folder: Path, seconds: float, seed: int) -> list[str]:
    """Run it; what was wrong."""
    cluster = Cluster(folder, SETTINGS, quick_start=True)
    cluster.start()
    try:
        cluster.add("executor", "executor-2").wait_ready()
        eventually(lambda: Visitor(cluster.url).ask(LOGIN).status, lambda status: status == 200)
        eventually(lambda: Visitor(cluster.url).log_in("akadmin", cluster.password)["component"], lambda component: component == DONE)
        return _judged(cluster, seconds, seed)
    finally:
        cluster.stop()


def _judged(cluster: Cluster, seconds: float, seed: int) -> list[str]:
    told, over = Told(), threading.Event()
    urls = [cluster.members[name].url for name in nemesis.EXECUTORS]
    names = [f"person{n}" for n in range(PEOPLE)]
    for name in names:
        cluster.sluice("users", "create", name, "--password-stdin", stdin=f"password-of-{name}\n")
    people = [Person(name, f"password-of-{name}", lambda: urls, told, seed + n) for n, name in enumerate(names)]
    threads = [threading.Thread(target=person.run, args=(over,), name=person.name) for person in people]
    for thread in threads:
        thread.start()
    try:
        for happened in nemesis.harass(cluster, seed, seconds):
            print(happened, flush=True)
            if told.wrong:
                break
    finally:
        over.set()
        for thread in threads:
            thread.join(JOIN_S)
    for member in cluster.members.values():
        member.wait_ready()
    by_name = {person.name: person for person in people}
    for name, visitor in told.ins:
        by_name[name].is_still_in(visitor)
    for name, visitor in told.outs:
        by_name[name].is_out(visitor)
    wrong = told.wrong + [f"{process.name} ended:\n{process.tail()}" for process in cluster.ended()]
    wrong += checker.verdict(cluster, told, checker.users(cluster))
    waits = sorted(told.waits) or [0.0]
    print(
        f"{sum(told.logins.values())} log-ins ({waits[len(waits) // 2]:.1f} s p50, {waits[int(len(waits) * 0.99)]:.1f} s p99, {waits[-1]:.1f} s "
        f"longest), {len(told.outs)} log-outs, {len(told.set_back)} set back whose reply was lost; {len(wrong)} wrong"
    )
    return wrong


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n", 1)[0])
    p.add_argument("--seconds", type=float, default=300)
    p.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = p.parse_args()
    if lacking := missing():
        sys.exit(f"make chaos needs Kafka: {lacking}")
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-chaos", ignore_cleanup_errors=True) as folder:
        wrong = chaos(Path(folder) / "c", options.seconds, options.seed)
    for one in wrong[:50]:
        print(one, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
