"""The data folder: one process has it, its key is made once and read by nobody else."""

import os
from pathlib import Path
from typing import IO

import pytest

from shared.kernel.variables import Misconfigured
from sluice.data_folder import DataFolder, DataInUse


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "with a blank"), DataFolder(tmp_path / "with a blank")
    with first.taken(), pytest.raises(DataInUse, match=rf"process {os.getpid()}\b"), second.taken():
        pass
    with second.taken():
        pass


@pytest.mark.parametrize("wanted", ["file", "file/below"])
def test_a_place_where_no_folder_can_be_is_refused_by_the_settings_name(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "file").touch()
    folder = DataFolder(tmp_path / wanted)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*file.*(exists|directory)"), folder.taken():
        pass


def test_a_folder_that_may_not_be_written_is_refused_by_the_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, mode: str) -> IO[str]:
        raise PermissionError(13, "Permission denied", str(path))  # root may write everywhere

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*Permission denied"), DataFolder(tmp_path).taken():
        pass


def test_the_secret_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    first = folder.make_secret_key().read_text()
    assert folder.make_secret_key().read_text() == first
    assert len(first.strip()) >= 32
    assert folder.secret_key.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_a_key_that_was_cut_short_by_a_kill_is_made_anew(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.secret_key.with_suffix(".new").write_text("half")
    assert len(folder.make_secret_key().read_text().strip()) >= 32
