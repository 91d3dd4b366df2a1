"""`SLUICE_DATA` names a folder that is no data folder: a system's (tried here on copies only), a home, a mistyped path."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.kernel.variables import Misconfigured
from sluice.data_folder import DataFolder
from tests.e2e.sluice_process import SluiceUp

STRANGE: dict[str, Sequence[str]] = {
    "like /etc": ("passwd",),
    "like /var, whose lock is a folder": ("lock/", "lib/", "log/"),
    "a program with a lock": ("lock", "program.pid"),
    "like /var/lib, of another PostgreSQL": ("postgres/",),
    "a hidden file": (".bashrc",),
    "a cluster that is not ours": ("cluster/",),
    "a key of another name": ("server.key",),
}
OURS: dict[str, Sequence[str]] = {
    "a key": ("secret.key",),
    "a log": ("log.sqlite",),
    "PostgreSQL": ("postgres/", "postgres/PG_VERSION"),
    "a start that was killed": ("lock", "postgres/"),
    "a key and somebody's notes": ("secret.key", "notes.txt"),
}
EMPTY: dict[str, Sequence[str]] = {
    "nothing": (),
    "a new disk": ("lost+found/",),
    "a cluster of ours": ("cluster/", "cluster/secret.key"),
}


def fill(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if name.endswith("/"):
            (path / name).mkdir()
        else:
            (path / name).write_text("x" * 48)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    path.chmod(0o755)
    return path


def seen(path: Path) -> tuple[int, list[str]]:
    return stat.S_IMODE(path.stat().st_mode), sorted(str(one) for one in path.rglob("*"))


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_folder_is_left_as_it_is(path: Path, name: str) -> None:
    fill(path, STRANGE[name])
    before = seen(path)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*holds nothing of Sluice"), DataFolder(path).taken():
        pass
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*no data folder.*sluice up"):
        DataFolder(path).find()
    assert seen(path) == before


def test_a_link_to_a_strange_folder_is_no_way_in(path: Path, tmp_path: Path) -> None:
    (path / "passwd").touch()
    (tmp_path / "link").symlink_to(path)
    before = seen(path)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: "), DataFolder(tmp_path / "link").taken():
        pass
    assert seen(path) == before


@pytest.mark.parametrize("name", OURS)
def test_an_older_data_folder_is_taken_and_found(path: Path, name: str) -> None:
    fill(path, OURS[name])
    DataFolder(path).find()
    with DataFolder(path).taken():
        assert seen(path)[0] == 0o700


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_folder_is_taken_but_not_found(path: Path, name: str) -> None:
    fill(path, EMPTY[name])
    before = seen(path)
    with pytest.raises(Misconfigured, match=r"^SLUICE_DATA: .*no data folder.*sluice up"):
        DataFolder(path).find()
    assert seen(path) == before
    with DataFolder(path).taken():
        assert seen(path)[0] == 0o700


@pytest.mark.parametrize("arguments", [("up",), ("users", "disable", "alice"), ("flows", "apply", "flow.yaml")])
def test_no_command_touches_it(path: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (path / "passwd").touch()
    (tmp_path / "flow.yaml").write_text("version: 1\nentries: []\n")
    before = seen(path)
    site = SluiceUp(path)
    done = site.command(*(str(tmp_path / one) if one == "flow.yaml" else one for one in arguments), check=False)
    assert done.returncode == 2
    assert "SLUICE_DATA: " in done.stderr
    assert "Traceback" not in done.stderr
    assert seen(path) == before


def test_no_other_command_makes_the_folder(tmp_path: Path) -> None:
    done = SluiceUp(tmp_path / "data").command("users", "disable", "alice", check=False)
    assert (done.returncode, "there is no data folder" in done.stderr) == (2, True)
    assert not (tmp_path / "data").exists()
