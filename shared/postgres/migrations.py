"""Brings a schema to the state that this release needs: numbered SQL files, each applied once, all in one transaction.

An applied file never changes: a database made by the old text and one made by the new would differ without anybody
knowing. What a newer release has applied is left alone, so that old and new processes can run side by side.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

import asyncpg

from shared.kernel.errors import SluiceError

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    owner text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, number)
)"""


class MigrationRefused(SluiceError):
    """The files and the database do not belong together; the text names the file."""

    code = "E_MIGRATION_REFUSED"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MigrationSet:
    """The files of one owner of tables, numbered from 1 without a gap."""

    owner: str
    migrations: tuple[Migration, ...]

    @classmethod
    def load(cls, owner: str, folder: Traversable) -> "MigrationSet":
        """The `NNNN_name.sql` in this folder; `MigrationRefused` for a gap or two of one number."""
        found = []
        for entry in folder.iterdir():
            match = _NAME.match(entry.name)
            if match:
                found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
        found.sort(key=lambda one: one.number)
        if [one.number for one in found] != list(range(1, len(found) + 1)):
            raise MigrationRefused(f"the migrations of {owner} are not numbered 1, 2, 3, ...")
        return cls(owner, tuple(found))


async def migrate(connection: "asyncpg.Connection[asyncpg.Record]", schema: str, sets: Sequence[MigrationSet]) -> int:
    """Apply what is missing, in the order given, and return how many files that were.

    One process at a time does so; the others wait and find it done. Nothing is applied if one file fails.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"sluice migrations {schema}")
        await connection.execute(_TABLE)
        applied = {(row["owner"], row["number"]): row for row in await connection.fetch("SELECT * FROM schema_migrations")}
        count = 0
        for one_set in sets:
            for migration in one_set.migrations:
                row = applied.get((one_set.owner, migration.number))
                if row is None:
                    await _apply(connection, one_set.owner, migration)
                    count += 1
                elif row["checksum"] != migration.checksum:
                    raise MigrationRefused(f"{one_set.owner}/{migration.name} was changed after it had been applied as {row['name']}")
        return count


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", owner: str, migration: Migration) -> None:
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO schema_migrations (owner, number, name, checksum) VALUES ($1, $2, $3, $4)",
        owner, migration.number, migration.name, migration.checksum,
    )  # fmt: skip
