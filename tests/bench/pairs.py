"""Did a login become dearer? `python -m tests.bench.pairs COMMIT` runs that commit and this tree beside each other, turn by turn.

Both run with this environment's libraries. Every pair is a measurement of one and then of the other, in changing order, so that
what the machine does meanwhile falls on both; the figure is the median of the pairs' ratios, the services' CPU alone (neither
the broker nor PostgreSQL). `beside the hash` is the same with the hash that costs next to nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.bench.measured import measure
from tests.bench.targets import Group, Target

TREE: Final = Path(__file__).parents[2]
BELOW: Final = ("broker", "postgres")
KINDS: Final = {"argon2id": "ARGON2", "beside the hash": "FREE"}
RUNTIMES: Final = {"embedded": "embedded", "kafka": "over_kafka"}
IDLE_S: Final = 0.3
SERVE: Final = """
import json, sys
from tests.bench import targets
with getattr(targets, sys.argv[1])(getattr(targets, sys.argv[2])) as t:
    print(json.dumps({"base": t.base, "groups": {n: [g.pid, sorted(g.without)] for n, g in t.groups.items()}}), flush=True)
    sys.stdin.read()
"""
"""Runs in a tree and with that tree's code, until its standard input is closed."""


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """A work tree of the commit for as long as it is measured."""
    with tempfile.TemporaryDirectory(prefix="sluice-pairs") as folder:
        path = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(path), commit], cwd=TREE, check=True)
        try:
            yield path
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=TREE, check=True)


@contextmanager
def running(tree: Path, runtime: str, kind: str) -> Iterator[Target]:
    """A Sluice of that tree."""
    command = [sys.executable, "-c", SERVE, RUNTIMES[runtime], KINDS[kind]]
    with subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            said = json.loads(process.stdout.readline())
            groups = {name: Group(pid, frozenset(without)) for name, (pid, without) in said["groups"].items()}
            yield Target(runtime, said["base"], groups, 0.0)
        finally:
            process.stdin.close()


def compare(before: Target, after: Target, kind: str, pairs: int, seconds: float) -> str:
    """One row of the table."""
    for target in (before, after):
        measure(target, kind, 2, 2 * seconds)
    taken: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    for turn in range(pairs):
        both = [("before", before), ("after", after)]
        for name, target in both if turn % 2 else reversed(both):
            taken[name].append({n: ms for n, ms in measure(target, kind, 2, seconds).cpu_ms.items() if n not in BELOW})
            time.sleep(IDLE_S)
    sums = {name: [sum(ms.values()) for ms in turns] for name, turns in taken.items()}
    ratios = [b / a for a, b in zip(sums["before"], sums["after"], strict=True)]
    by = {name: ", ".join(f"{n} {statistics.median(t[n] for t in turns):.1f}" for n in turns[0]) for name, turns in taken.items()}
    medians = {name: statistics.median(values) for name, values in sums.items()}
    return (
        f"| {before.name} | {kind} | {medians['before']:.1f} ({by['before']}) | {medians['after']:.1f} ({by['after']}) "
        f"| {statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs) |"
    )


def main() -> None:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m tests.bench.pairs", description=__doc__.split("\n", 1)[0])
    p.add_argument("commit")
    p.add_argument("--only", choices=tuple(RUNTIMES))
    p.add_argument("--hash", choices=tuple(KINDS))
    p.add_argument("--pairs", type=int, default=12)
    p.add_argument("--seconds", type=float, default=3.0)
    options = p.parse_args()
    print(f"| runtime | hash | CPU-ms a login, {options.commit} | this tree | ratio |\n| --- | --- | --- | --- | --- |")
    with tree_of(options.commit) as tree:
        for runtime in [options.only] if options.only else RUNTIMES:
            for kind in [options.hash] if options.hash else KINDS:
                with ExitStack() as stack:
                    before, after = (stack.enter_context(running(path, runtime, kind)) for path in (tree, TREE))
                    print(compare(before, after, kind, options.pairs, options.seconds), flush=True)


if __name__ == "__main__":
    main()
