"""Commands as processes: what they need is told in a line on standard error, with an exit code that scripts can tell apart."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluice.cli import app
from tests.e2e.sluice_process import SluiceUp


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "catalog"), 2, "SLUICE_KAFKA is not set: catalog runs on Kafka"),
        (("run", "executor", "--role", "edge"), 2, "SLUICE_KAFKA is not set: executor runs on Kafka"),
        (("run", "planner", "--role", "edge"), 2, "planner has no roles"),
        (("run", "everything"), 2, "everything"),
        (("topics", "create"), 2, "SLUICE_KAFKA is not set"),
        (("tail", "planner.requests"), 1, "in memory only"),
        (("tail", "executor.sessions"), 1, "no log at"),
        (("flows", "apply", "nowhere.yaml"), 2, "nowhere.yaml"),
    ],
)
def test_a_refusal_says_why(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = SluiceUp(tmp_path / "data").command(*arguments, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_wrong_settings_are_refused_by_every_command(tmp_path: Path) -> None:
    wrong = SluiceUp(tmp_path / "data", {"SLUICE_LISTN": "x", "SLUICE_TRACE_RATIO": "hunter2"})
    for arguments in (("up",), ("run", "policy"), ("settings",), ("tail", "executor.sessions"), ("users", "disable", "alice")):
        done = wrong.command(*arguments, check=False)
        assert done.returncode == 2
        assert "SLUICE_LISTN: there is no such setting; SLUICE_LISTEN perhaps?" in done.stderr
        assert "SLUICE_TRACE_RATIO: " in done.stderr
        assert "hunter2" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no-such-host.invalid:5432"])
def test_a_database_that_is_away_is_named_without_its_password(place: str, tmp_path: Path) -> None:
    away = SluiceUp(tmp_path / "data", {"SLUICE_DATABASE": f"postgresql://executor:hunter2@{place}/sluice"})
    done = away.command("users", "disable", "alice", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"sluice: PostgreSQL at {place} is away or too slow (")
    assert done.stderr.endswith(" [E_POSTGRES_UNAVAILABLE]\n")
    assert "hunter2" not in done.stderr


def test_the_version_is_told(tmp_path: Path) -> None:
    assert SluiceUp(tmp_path / "data").command("version").stdout.startswith("sluice 0.")


@pytest.mark.parametrize("group", [(), ("users",), ("topics",), ("flows",)])
def test_no_command_is_told_of_with_half_a_sentence(group: tuple[str, ...]) -> None:
    told = CliRunner().invoke(app, [*group, "--help"], terminal_width=80).output
    assert "Commands:" in told
    assert "..." not in told.partition("Commands:")[2]
