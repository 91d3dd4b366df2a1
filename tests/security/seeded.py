"""Seeded bugs: for each advisory of others, the mistake that they made, made here, and the test that then fails.

`advisories.yaml` says for each: the advisory, what went wrong there, the file and the text that is spoilt here, and the tests that must
notice. A test that stays green over its bug guards nothing. `make seeded` runs all of them, each in a copy of this tree; as a
command it takes ids to run only some.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import yaml

ROOT: Final = Path(__file__).parents[2]
LIST: Final = Path(__file__).parent / "advisories.yaml"
COPIES: Final = 2
LIMIT_S: Final = 300.0
_FAILED: Final = 1  # pytest's exit code for tests that failed, and for nothing else


@dataclass(frozen=True, slots=True)
class Seeded:
    """One bug: `was` stands in `file` exactly once and becomes `becomes`; of `tests` (node ids) at least one has to fail."""

    id: str
    advisory: str
    what: str
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...]

    def spoilt(self, text: str) -> str:
        """The file's text with the bug in it; `ValueError` if the place is not there once."""
        if text.count(self.was) != 1:
            raise ValueError(f"{self.id}: {self.file} has the text {text.count(self.was)} times:\n{self.was}")
        return text.replace(self.was, self.becomes)


def seeded_bugs() -> list[Seeded]:
    """All of them."""
    rows = yaml.safe_load(LIST.read_text()) or []
    return [Seeded(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def survives(bug: Seeded, copy: Path) -> str:
    """Sow the bug in a copy of the tree and run its tests: why it survived, "" if a test noticed."""
    place = copy / bug.file
    before = place.read_text()
    place.write_text(bug.spoilt(before))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *bug.tests],
            cwd=copy, capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
    finally:
        place.write_text(before)
    if done.returncode == _FAILED and "\nFAILED " in done.stdout and "ERROR collecting" not in done.stdout:
        return ""
    return f"{bug.id} ({bug.advisory}) survives, pytest ended with {done.returncode}:\n{done.stdout[-2000:]}"


@contextmanager
def copies(number: int) -> Iterator[list[Path]]:
    """So many copies of what git knows of this tree."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    with tempfile.TemporaryDirectory(prefix="sluice-seeded-") as scratch:
        made = [Path(scratch) / str(n) for n in range(number)]
        for copy in made:
            for name in filter(None, files):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        yield made


def survivors(bugs: Sequence[Seeded]) -> list[str]:
    """Run these, a few at a time: why some survived."""
    free: SimpleQueue[Path] = SimpleQueue()

    def run(bug: Seeded) -> str:
        copy = free.get()
        try:
            return survives(bug, copy)
        finally:
            free.put(copy)

    with copies(COPIES) as made, ThreadPoolExecutor(COPIES) as pool:
        for copy in made:
            free.put(copy)
        return [why for why in pool.map(run, bugs) if why]


def main(wanted: Sequence[str]) -> int:
    """Run all, or those with these ids; 1 if one survives."""
    bugs = [bug for bug in seeded_bugs() if not wanted or bug.id in wanted]
    found = survivors(bugs)
    sys.stdout.write("\n\n".join([*found, f"{len(bugs) - len(found)} of {len(bugs)} seeded bugs were noticed"]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
