"""Files that are given to `sluice users import` and are no table: one sentence, nothing read without end."""

import codecs
import os
from pathlib import Path

import pytest

from services.executor.directory import importing
from services.executor.directory.importing import ImportRefused, read_table
from tests.e2e.sluice_process import SluiceUp

HEADER = "username,email,name,password\n"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ((HEADER + "ann,,,x\nj\u00fcrgen,,,x\n").encode("latin-1"), 3), ((HEADER + "ann,,,\u20ac\n").encode("cp1252"), 2),
        (HEADER.encode("utf-16"), 1), (codecs.BOM_UTF16_BE + HEADER.encode("utf-16-be"), 1), (HEADER.encode("utf-32"), 1),
        (HEADER.encode() + b"ann,,,\xed\xa0\x80\n", 2), (HEADER.encode() + b"ann,,,\xf0\x9f", 2), (HEADER.replace("\n", "\r\n").encode() + b"a,,,\xe4\r\n", 2),
    ],
)  # fmt: skip
def test_what_is_not_utf_8_is_refused_with_its_line(tmp_path: Path, raw: bytes, line: int) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(raw)
    with pytest.raises(ImportRefused, match=f"line {line} is not UTF-8"):
        read_table(file)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_utf_8_is_read_with_or_without_a_mark(tmp_path: Path, mark: bytes) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(mark + (HEADER + 'j\u00fcrgen,,"a\r\nb",x\n').encode())
    assert "".join(read_table(file)) == HEADER + 'j\u00fcrgen,,"a\r\nb",x\n'


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(ImportRefused, match=r"is no regular file|cannot be read: Is a directory"):
            read_table(path)
    with pytest.raises(ImportRefused, match="cannot be read: No such file"):
        read_table(tmp_path / "none")


def test_no_more_than_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users.csv"
    with file.open("wb") as sparse:
        sparse.truncate(importing.FILE_MAX + 1)
    with pytest.raises(ImportRefused, match="is larger than 64 MiB"):
        read_table(file)
    monkeypatch.setattr(importing, "USERS_MAX", 2)
    with pytest.raises(ImportRefused, match="line 4: more than 2 users"):
        list(importing._read([HEADER, "a,,,\n", "b,,,\n", "c,,,\n"]))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_the_command_says_it_in_a_line(tmp_path: Path, device: str) -> None:
    done = SluiceUp(tmp_path / "data").command("users", "import", device, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sluice: {device} is no regular file: write the table to one [E_IMPORT_REFUSED]\n"
    assert not (tmp_path / "data").exists()
