"""`make bench`: logins, steps and checks, embedded and over Kafka, with the hash and nearly without, in one run on one machine.

Writes the tables between the marks in docs/performance.md, with date and commit; nothing here is asserted anywhere.
`timing` alone measures whether the time of an answer tells who there is (`tests/bench/timing.py`).
`--quick` measures for seconds, to try it out, and writes nothing.
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from deploy.kafka.broker import missing
from tests.bench import counts, report, timing
from tests.bench.measured import Row, measure, raw_hash, with_hash
from tests.bench.targets import ARGON2, FREE, embedded, over_kafka

CONCURRENCY: Final = (1, 16, 64)
WARM_S: Final = 30.0
"""A broker that has just started spends a core on compiling itself; one in production has done so long ago."""
DOCUMENT: Final = Path("docs/performance.md")


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
    counts.main(write=not options.quick)
    if not options.quick:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True).stdout.strip()
        when = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {os.cpu_count()} cores, Python {platform.python_version()}"
        report.write(DOCUMENT, when, rows, facts, hash_ms, hash_per_s)
        timing.main(["--write"])
    return None


if __name__ == "__main__":
    main()
