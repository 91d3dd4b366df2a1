"""What the fuzz job found once is found no more: every saved input, and those that it begins with, break no rule."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.mutation import inputs
from tests.fuzz.run import CRASHERS, by_chance, keeping
from tests.fuzz.targets import TARGETS, TooDear, _counted


@pytest.mark.parametrize("name", TARGETS)
def test_saved_inputs_and_seeds_break_nothing(name: str) -> None:
    target = TARGETS[name]
    crashers = sorted((CRASHERS / name).glob("*"))
    with target.opened() as run:
        for data in [*target.seeds(), *(path.read_bytes() for path in crashers)]:
            run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_first_inputs_by_chance_break_nothing(name: str) -> None:
    target = TARGETS[name]
    with target.opened() as run:
        for data in islice(inputs(target.seeds(), seed=1), 60 if name == "http" else 400):
            run(data)


def test_every_target_has_inputs_to_begin_with() -> None:
    assert all(target.seeds() for target in TARGETS.values())


def test_the_same_seed_makes_the_same_inputs() -> None:
    seeds = [b"one", b"two"]
    assert list(islice(inputs(seeds, 7), 50)) == list(islice(inputs(seeds, 7), 50))
    assert list(islice(inputs(seeds, 7), 50)) != list(islice(inputs(seeds, 8), 50))


def test_an_input_that_breaks_something_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.run.CRASHERS", tmp_path)

    def seeded(data: bytes) -> None:
        if b"\xff" in data:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        by_chance(keeping("seeded", seeded), [b"abc"], seconds=60, seed=1)
    (kept,) = (tmp_path / "seeded").iterdir()
    assert b"\xff" in kept.read_bytes()


def test_an_input_that_costs_its_size_squared_is_one_that_breaks_something() -> None:
    def squared(data: bytes) -> None:
        for _ in range(len(data)):
            for _ in range(len(data)):
                pass

    with _counted(squared)() as run:
        run(b"x" * 100)
        with pytest.raises(TooDear):
            run(b"x" * 3000)


@pytest.mark.slow
def test_the_job_runs_and_says_its_seed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", "2", "--seed", "5", "records"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "--seed 5" in done.stdout
    assert "records: nothing found" in done.stdout
