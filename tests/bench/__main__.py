"""`make bench`: logins, steps and checks, embedded and over Kafka, with the hash and nearly without, in one run on one machine.

Writes the tables between the marks in docs/performance.md, with date and commit; nothing here is asserted anywhere.
`timing` alone measures whether the time of an answer tells who there is (`tests/bench/timing.py`).
`--quick` measures for seconds, to try it out, and writes nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from argon2.exceptions import VerificationError
from argon2.low_level import Type, verify_secret

from deploy.kafka.broker import missing
from tests.bench import report, timing
from tests.bench.targets import ARGON2, FREE, PASSWORD, Target, embedded, hashed, over_kafka

CONCURRENCY: Final = (1, 16, 64)
WARM_S: Final = 30.0
"""A broker that has just started spends a core on compiling itself; one in production has done so long ago."""
DOCUMENT: Final = Path("docs/performance.md")


@dataclass(frozen=True)
class Row:
    """One measurement: `cpu_ms` is by group and per login (or check), `hash_ms` what the hash in it costs by itself (0: nothing)."""

    target: str
    hash: str
    what: str
    visitors: int
    per_s: float
    login: dict[str, float]
    step: dict[str, float]
    cpu_ms: dict[str, float]
    driver_ms: float
    errors: dict[str, int]
    hash_ms: float = 0.0


def with_hash(measured: Callable[[], Row], seconds: float) -> Row:
    """A measurement between two of the raw hash, whose mean is its `hash_ms`: what a core does changes by the minute."""
    before, _ = raw_hash(seconds)
    row = measured()
    after, _ = raw_hash(seconds)
    return replace(row, hash_ms=(before + after) / 2)


def measure(target: Target, kind: str, visitors: int, seconds: float, *, check: bool = False) -> Row:
    """Run the driver and read the CPU that everything took while it measured."""
    command = [sys.executable, "-m", "tests.bench.driver", "--base", target.base, "--concurrency", str(visitors), "--seconds", str(seconds)]
    warmup = min(3.0, seconds)
    with subprocess.Popen(
        [*command, "--warmup", str(warmup), *(["--check"] if check else [])], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout
        warm = json.loads(driver.stdout.readline())["warm_at"]
        time.sleep(max(0.0, warm - time.time()))
        before = {name: group.cpu_s() for name, group in target.groups.items()}
        time.sleep(seconds)
        after = {name: group.cpu_s() for name, group in target.groups.items()}
        said: dict[str, Any] = json.loads(driver.stdout.readline())
    count = max(1, said["count"])
    cpu = {name: round(1000 * (after[name] - before[name]) / count, 2) for name in before}
    what = "users/me" if check else "login"
    driver_ms = round(1000 * said["driver_cpu_s"] / count, 2)
    return Row(
        target.name, kind, what, visitors, round(said["count"] / seconds, 1), said["logins"], said["steps"], cpu, driver_ms, said["errors"]
    )


def raw_hash(seconds: float) -> tuple[float, float]:
    """What argon2id costs here, now: CPU-ms of one, and how many a second with all cores busy."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        done = list(pool.map(_hash_for, [seconds] * cores))
    return 1000 * sum(cpu for _, cpu in done) / sum(n for n, _ in done), sum(n for n, _ in done) / seconds


def _hash_for(seconds: float) -> tuple[int, float]:
    known, began, cpu, count = hashed(ARGON2).encode(), time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < seconds:
        try:
            verify_secret(known, PASSWORD, Type.ID)
        except VerificationError as wrong:
            raise SystemExit("the hash does not verify") from wrong
        count += 1
    return count, time.process_time() - cpu


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["timing"]:
        return timing.main(sys.argv[2:])
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--seconds", type=float, default=12)
    p.add_argument("--only", choices=("embedded", "kafka"))
    options = p.parse_args()
    if options.only != "embedded" and (lacking := missing()):
        sys.exit(f"make bench measures over Kafka too: {lacking}. The rest alone: .venv/bin/python -m tests.bench --only embedded --quick")
    seconds = 4.0 if options.quick else options.seconds
    hash_ms, hash_per_s = raw_hash(min(seconds, 5))
    print(f"argon2id: {hash_ms:.1f} CPU-ms, {hash_per_s:.0f}/s", flush=True)
    rows: list[Row] = []
    facts: list[str] = []
    for make in (embedded, over_kafka):
        if options.only and (make is embedded) != (options.only == "embedded"):
            continue
        for kind, cost in (("argon2id", ARGON2), ("nearly free", FREE)):
            with make(cost) as target:
                measure(target, kind, 16, min(WARM_S, 4 * seconds))
                for visitors in CONCURRENCY:
                    measured = partial(measure, target, kind, visitors, seconds)
                    rows.append(with_hash(measured, min(seconds, 3)) if kind == "argon2id" else measured())
                    print(report.line(rows[-1]), flush=True)
                    if visitors == 16 and kind == "argon2id":
                        facts.append(report.memory(target))
                        print(facts[-1], flush=True)
                if kind == "argon2id":
                    facts.append(f"{target.name}: {target.start_s:.1f} s from the command to ready (fresh data)")
                    rows.append(measure(target, kind, 16, seconds, check=True))
                    print(report.line(rows[-1]), flush=True)
    print("\n".join(facts))
    if not options.quick:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True).stdout.strip()
        when = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {os.cpu_count()} cores, Python {platform.python_version()}"
        report.write(DOCUMENT, when, rows, facts, hash_ms, hash_per_s)
        timing.main(["--write"])
    return None


if __name__ == "__main__":
    main()
