"""What the command line says to people: an error with its code, how to call `sluice` from here."""

import sys
from pathlib import Path

import pytest

from services.catalog.domain.blueprints.errors import TAG, BlueprintRefused, Place
from shared.kernel.errors import SluiceError, Unavailable, told
from shared.runtime.setting_types import Address
from sluice.data_folder import DataInUse
from sluice.welcome import program, welcome


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataInUse("stop it first"), "sluice: stop it first [E_DATA_IN_USE]"),
        (Unavailable(), "sluice: E_UNAVAILABLE"),
        (SluiceError("SLUICE_A: wrong\nSLUICE_B: wrong"), "sluice: SLUICE_A: wrong\nSLUICE_B: wrong [E_SLUICE]"),
        (BlueprintRefused(TAG, "no such tag", Place("f.yaml", 3, 7)), "sluice: f.yaml:3:7: no such tag [E_BP_TAG]"),
    ],
)
def test_an_error_is_told_with_the_code_that_the_documents_explain(error: SluiceError, line: str) -> None:
    assert told(error) == line


@pytest.mark.parametrize("path", ["", "/auth", "/a/b"])
def test_where_to_log_in_is_where_it_is_served(path: str, tmp_path: Path) -> None:
    said = welcome(Address("0.0.0.0", 9000), tmp_path, None, path)  # noqa: S104 - never listened on
    assert f"  log in at  http://127.0.0.1:9000{path}/if/flow/default-authentication-flow/\n" in said


def test_sluice_is_called_by_its_path_unless_it_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "sluice").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == ".venv/bin/sluice"
    assert f"`{program()} users set-password akadmin`" in welcome(Address("127.0.0.1", 9000), tmp_path, None)
    monkeypatch.setenv("PATH", str(folder))
    assert program() == "sluice"
