"""`sluice up` whose log file lacks records that PostgreSQL knows of: only their partition stops, and a repair brings it back (architecture §4.15)."""

import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sluice.data_folder import DataFolder
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OF = "topic = 'executor.sessions' and partition = "


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("lost") / "data", {"SLUICE_SET_ASIDE_LOOK_SECONDS": "0.5"}) as running:
        yield running


def file_of(up: SluiceUp) -> Path:
    return DataFolder(up.data).log


def logged_in(up: SluiceUp) -> Visitor:
    visitor = Visitor(up.base_url)
    assert visitor.log_in("akadmin", up.password)["component"] == "xak-flow-redirect"
    return visitor


def last(up: SluiceUp) -> int:
    """The partition of the newest transition."""
    with closing(sqlite3.connect(file_of(up))) as file:
        return int(
            file.execute(
                "select partition from records where topic = 'executor.sessions' order by timestamp_ms desc, rowid desc"
            ).fetchone()[0]
        )


def said(up: SluiceUp) -> list[dict[str, Any]]:
    with urllib.request.urlopen(up.base_url + "/-/health/ready/", timeout=10) as answer:  # noqa: S310 -- ours
        found: list[dict[str, Any]] = json.load(answer).get("details", {}).get("executor.set_aside", [])
    return found


def without(condition: str) -> Callable[[Path, int], None]:
    """Take these records of the partition from the file."""

    def cut(path: Path, partition: int) -> None:
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(f"delete from records where {OF}{partition} and {condition}")  # noqa: S608 -- ours
            file.execute(f"delete from bounds where {OF}{partition}")  # noqa: S608 -- ours

    return cut


def forgetting_offsets(path: Path, partition: int) -> None:
    """The last record, and that it was done: nobody but PostgreSQL remembers it."""
    without(LAST)(path, partition)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f"delete from group_offsets where {OF}{partition}")  # noqa: S608 -- ours


LAST = f"offset = (select max(offset) from records as others where others.{OF.replace('and ', 'and others.')}records.partition)"  # noqa: S608 -- ours


@pytest.mark.parametrize(
    "cut",
    [without(LAST), *(pytest.param(without(rows), marks=pytest.mark.long) for rows in ("true", "offset > 0")), forgetting_offsets],
    ids=["the last", "all", "all but the first", "the last, and that it was done"],
)
def test_records_that_are_gone_from_the_file_stop_their_partition_and_nothing_else(up: SluiceUp, cut: Callable[[Path, int], None]) -> None:
    visitor = logged_in(up)
    partition = last(up)
    assert up.stop() == 0
    cut(file_of(up), partition)
    up.start()
    assert [one["partition"] for one in said(up)] == [partition]
    for _ in range(8):
        logged_in(up)
    assert visitor.who() == "akadmin"
    shown = up.command("sessions", "repair", "--show").stdout
    assert f"partition {partition} of executor.sessions is set aside" in shown and [one["partition"] for one in said(up)] == [partition]
    other = (partition + 1) % 12
    assert "no partition of executor.sessions is set aside" in up.command("sessions", "repair", "--partition", str(other)).stdout
    told = up.command("sessions", "repair", "--partition", str(partition))
    assert f"partition {partition} is repaired" in told.stdout and "akadmin stays logged in" in told.stdout
    assert said(up) == [] and visitor.who() == "akadmin"
    assert "no partition of executor.sessions is set aside" in up.command("sessions", "repair").stdout
    for _ in range(8):
        logged_in(up)


def test_a_file_that_was_restored_from_an_older_copy(up: SluiceUp, tmp_path: Path) -> None:
    logged_in(up)
    assert up.stop() == 0
    path = file_of(up)
    shutil.copy(path, tmp_path / "older")
    up.start()
    visitors = [logged_in(up) for _ in range(4)]
    assert up.stop() == 0
    for file in path.parent.glob(path.name + "*"):
        file.unlink()
    shutil.copy(tmp_path / "older", path)
    up.start()
    assert 1 <= len(said(up)) <= 4
    assert all(visitor.who() == "akadmin" for visitor in visitors)
    assert up.command("sessions", "repair").stdout.count("is repaired") >= 1
    assert said(up) == [] and all(visitor.who() == "akadmin" for visitor in visitors)
    logged_in(up)
