"""Users from a CSV file: `username,email,name,password`; a password that is a complete hash is taken as one."""

import csv
import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from services.executor.directory.making import insert
from services.executor.directory.naming import CheckedUser, NewUser, UserRefused, checked
from services.executor.directory.users import Users
from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError
from shared.postgres.pool import Database
from shared.runtime.secret_settings import content

COLUMNS: Final = ("username", "email", "name", "password")
FILE_MAX: Final = 64 * 1024 * 1024  # bytes
USERS_MAX: Final = 1_000_000  # of one file, all in memory until the last line is seen to be one
CHUNK: Final = 50  # users a transaction: well within the time that one may take


class ImportRefused(SluiceError):
    """A file that is not such a table; nothing was imported."""

    code = "E_IMPORT_REFUSED"


@dataclass(frozen=True, slots=True)
class Imported:
    """`refused`: the line of the file (its header is line 1), and why that user was not made."""

    created: int
    refused: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    new: NewUser
    given: CheckedUser
    hash: str | None


def read_table(path: Path) -> Iterable[str]:
    """The lines of a file, in UTF-8 with or without a mark; read as a whole, so nothing is imported of one that is no text to its end.

    Raises:
        ImportRefused: no regular file, one that is too large or cannot be read, or not UTF-8, with the line.
    """
    try:
        raw = content(path, FILE_MAX)
    except OSError as failure:
        if failure.errno == errno.EINVAL:
            raise ImportRefused(f"{path} is no regular file: write the table to one") from None
        if failure.errno == errno.EFBIG:
            raise ImportRefused(f"{path} is larger than {FILE_MAX // 1024**2} MiB: split it") from None
        raise ImportRefused(f"{path} cannot be read: {failure.strerror}") from None
    try:
        return StringIO(raw.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as failure:
        line = failure.object.count(b"\n", 0, failure.start) + 1
        raise ImportRefused(f"line {line} is not UTF-8: save the table in UTF-8") from None


async def import_users(database: Database, users: Users, clock: Clock, lines: Iterable[str]) -> Imported:
    """Make the users in these lines; those who cannot be made are reported, the others are made.

    Raises:
        ImportRefused: the first line does not name the columns, or a line has too many or too few.
    """
    created, refused = 0, []
    chunk: list[_Row] = []
    for line, new in list(_read(lines)):
        try:
            given = checked(new)
        except UserRefused as failure:
            refused.append((line, failure.detail))
            continue
        hashed = given.hash or (await users.hashed(given.password) if given.password is not None else None)
        chunk.append(_Row(line, new, given, hashed))
        if len(chunk) == CHUNK:
            created += await _make(database, clock, chunk, refused)
            chunk = []
    created += await _make(database, clock, chunk, refused)
    return Imported(created, tuple(sorted(refused)))


async def _make(database: Database, clock: Clock, rows: Sequence[_Row], refused: list[tuple[int, str]]) -> int:
    """One transaction for all; a user whose name is taken is left out without undoing the others."""
    left_out: list[tuple[int, str]] = []
    async with database.transaction() as connection:
        for row in rows:
            try:
                async with connection.transaction():
                    await insert(connection, database.schema, row.new, row.given, row.hash, clock.now_us())
            except UserRefused as failure:
                left_out.append((row.line, failure.detail))
    refused += left_out
    return len(rows) - len(left_out)


def _read(lines: Iterable[str]) -> Iterator[tuple[int, NewUser]]:
    reader, made = csv.reader(lines, strict=True), 0
    try:
        header = next(reader, None)
        if header is None or tuple(name.strip().removeprefix("\ufeff") for name in header) != COLUMNS:
            raise ImportRefused(f"the first line must be {','.join(COLUMNS)}")
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(COLUMNS):
                raise ImportRefused(f"line {reader.line_num} has {len(fields)} fields, not {len(COLUMNS)}")
            made += 1
            if made > USERS_MAX:
                raise ImportRefused(f"line {reader.line_num}: more than {USERS_MAX} users; split the file")
            username, email, name, password = fields
            yield reader.line_num, NewUser(username, name, email, password or None, hash_allowed=True)
    except csv.Error as failure:
        raise ImportRefused(f"line {reader.line_num}: {failure}") from None
