"""The recorded scenarios, replayed unmodified against `sluice up`; what differs is listed, with the reason, in deviations.yaml."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import RECORDINGS
from tests.e2e.sluice_process import SluiceUp

HERE = Path(__file__).parent
DEVIATIONS = HERE / "deviations.yaml"
SCENARIOS = (
    "auth-success",
    "auth-wrong-password-once",
    "auth-wrong-password-until-cancel",
    "auth-field-errors",
    "auth-post-without-plan",
    "auth-query-next",
    "auth-content-types",
    "next-hostile",
    "invalidation",
    "authreq",
    "ident-options",
    "linked-flows",
)
PASSWORD = "akadmin-of-the-recordings"


@pytest.fixture(scope="module")
def sluice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("compat") / "data", {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD}) as up:
        yield up


def replayed(sluice: SluiceUp, scenario: str, result: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `replay.py` tells of a scenario, and the differences that no deviation is for."""
    done = subprocess.run(
        [
            sys.executable, str(RECORDINGS / "tools" / "replay.py"), "--base", sluice.base_url, "--admin-token", sluice.token,
            "--admin-password", PASSWORD, "--deviations", str(DEVIATIONS), "--json", str(result), "--quiet",
            str(RECORDINGS / "transcripts" / f"{scenario}.yaml"),
        ],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    return found, [d for d in found["scenarios"][scenario]["differences"] if "deviation" not in d]


@pytest.mark.shared
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_recorded_scenario_differs_only_where_we_mean_it_to(sluice: SluiceUp, scenario: str, tmp_path: Path) -> None:
    result, open_ = replayed(sluice, scenario, tmp_path / "result.json")
    for _ in range(2):
        if any((d["path"], d["got"]) == ("status", 503) for d in open_):
            # The machine was so slow that the visitor was told to come back, which the recorded one does not do.
            result, open_ = replayed(sluice, scenario, tmp_path / "result.json")
    assert not open_, "\n".join(f"{d['step']} {d['path']}: {d['expected']!r} -> {d['got']!r}" for d in open_)
    assert result["total"]["skipped"] == 0


@pytest.mark.shared
def test_every_deviation_says_where_what_and_why() -> None:
    for entry in yaml.safe_load(DEVIATIONS.read_text()):
        assert {"scenario", "path", "why"} <= entry.keys()
        assert "*" not in entry["path"], f"{entry['path']} proves nothing"
        if entry["path"] not in ("cookies.sluice_step", "cookies.sluice_device"):
            assert "step" in entry and "expect" in entry, entry
        assert len(entry["why"]) > 20
