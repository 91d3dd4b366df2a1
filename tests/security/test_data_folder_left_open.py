"""The folder of `sluice up` was there before: open to other users, or prepared by one of them to get at the key."""

import logging
import os
import stat
from pathlib import Path

import pytest

from deploy.child import ChildFailed
from deploy.cluster import Cluster
from shared.kernel.variables import Misconfigured
from sluice.data_folder import DataFolder

STRANGER = 10_001
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return DataFolder(path)


@pytest.mark.parametrize("was", [0o755, 0o777, 0o750, 0o701, 0o1777, 0o2770, 0o704])
def test_a_folder_that_was_there_is_closed_and_that_is_said(folder: DataFolder, was: int, caplog: pytest.LogCaptureFixture) -> None:
    folder.path.chmod(was)
    with folder.taken():
        assert mode(folder.path) & 0o777 == 0o700
    (record,) = caplog.records
    assert (record.levelno, f"{was:04o}" in record.getMessage()) == (logging.WARNING, True)
    caplog.clear()
    with folder.taken():
        assert caplog.records == []


@pytest.mark.parametrize("name", ["secret.key", "log.sqlite", "log.sqlite-wal", "lock"])
@pytest.mark.parametrize("was", [0o644, 0o640, 0o606])
def test_a_file_that_was_readable_is_closed(folder: DataFolder, name: str, was: int) -> None:
    (folder.path / name).write_text("x" * 40)
    (folder.path / name).chmod(was)
    with folder.taken():
        assert mode(folder.path / name) == 0o600


def test_a_command_beside_it_closes_it_too(folder: DataFolder) -> None:
    folder.secret_key.write_text("k" * 48)
    folder.path.chmod(0o755)
    folder.find()
    assert mode(folder.path) == 0o700


def test_a_link_of_ones_own_to_another_disk_is_followed_and_what_it_leads_to_closed(folder: DataFolder, tmp_path: Path) -> None:
    folder.path.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    with DataFolder(link).taken():
        assert mode(folder.path) == 0o700


def test_a_file_system_without_modes_is_refused_with_the_reason(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*keeps no modes"), folder.taken():
        pass


@as_root
def test_a_folder_of_somebody_else_is_refused_and_left_alone(folder: DataFolder) -> None:
    folder.path.chmod(0o755)
    os.chown(folder.path, STRANGER, STRANGER)
    with pytest.raises(Misconfigured, match=rf"^SLUICE_DATA: .*number {STRANGER}.*chown"), folder.taken():
        pass
    assert mode(folder.path) == 0o755


@as_root
def test_a_planted_link_in_place_of_the_folder_is_refused(folder: DataFolder, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    os.lchown(link, STRANGER, STRANGER)
    with pytest.raises(Misconfigured, match=str(STRANGER)), DataFolder(link).taken():
        pass


@as_root
@pytest.mark.parametrize("name", ["lock", "secret.key", "log.sqlite"])
def test_a_planted_link_in_place_of_a_file_is_refused_and_its_target_untouched(folder: DataFolder, tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    target.chmod(0o644)
    (folder.path / name).symlink_to(target)
    os.lchown(folder.path / name, STRANGER, STRANGER)
    with pytest.raises(Misconfigured, match=name), folder.taken():
        pass
    assert (target.read_text(), mode(target)) == ("precious", 0o644)


@as_root
def test_a_planted_key_is_refused(folder: DataFolder) -> None:
    """Whoever planted it knows it, and could forge every cookie."""
    folder.secret_key.write_text("k" * 48)
    folder.secret_key.chmod(0o600)
    os.chown(folder.secret_key, STRANGER, STRANGER)
    with pytest.raises(Misconfigured, match=r"secret\.key.*number 10001"), folder.taken():
        pass


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_what_is_no_file_is_refused_instead_of_waited_for(folder: DataFolder, make: object) -> None:
    assert callable(make)
    make(folder.secret_key)
    with pytest.raises(Misconfigured, match="no file"), folder.taken():
        pass


def test_the_folder_of_a_cluster_is_closed_too_with_its_key_and_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path / "cluster")
    cluster.folder.mkdir(mode=0o755)
    (cluster.folder / "secret.key").write_text("k" * 48)
    (cluster.folder / "secret.key").chmod(0o644)

    def no_further() -> None:
        raise ChildFailed("far enough")

    monkeypatch.setattr(cluster.postgres, "start", no_further)
    with pytest.raises(ChildFailed, match="far enough"):
        cluster.start()
    assert (mode(cluster.folder), mode(cluster.folder / "secret.key")) == (0o700, 0o600)


@as_root
def test_a_cluster_in_somebody_elses_folder_does_not_start(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    cluster.folder.mkdir()
    os.chown(cluster.folder, STRANGER, STRANGER)
    with pytest.raises(ChildFailed, match=f"number {STRANGER}"):
        cluster.start()
