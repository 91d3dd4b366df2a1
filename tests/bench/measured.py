"""What one measurement is: visitors log in for some seconds, and every group of processes says what CPU it took meanwhile."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from argon2.exceptions import VerificationError
from argon2.low_level import Type, verify_secret

from tests.bench.targets import ARGON2, PASSWORD, Target, hashed


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
