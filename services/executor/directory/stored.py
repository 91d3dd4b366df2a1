"""A user as the administration sees them, read from the database."""

from dataclasses import dataclass
from typing import Final

from services.executor.directory.membership import GroupRow, groups_of
from services.executor.directory.rows import FACTS, facts_of
from shared.contracts.people import UserFacts
from shared.postgres.pool import Connection, Row

COLUMNS: Final = f"{FACTS}, u.last_login_us"
"""Columns of `users AS u` that `stored` needs."""
BY_PK: Final = f"SELECT {COLUMNS} FROM users AS u WHERE pk = $1"  # noqa: S608 -- constants only


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as the administration sees them."""

    facts: UserFacts
    last_login_us: int | None
    groups: tuple[GroupRow, ...] = ()

    @property
    def pk(self) -> int:
        """The number in the API's paths."""
        if self.facts.pk is None:
            raise AssertionError("a stored user without a number")
        return self.facts.pk


async def stored(connection: Connection, row: Row) -> StoredUser:
    """The user in a row that has `COLUMNS`."""
    facts = facts_of(row)
    return StoredUser(facts, row["last_login_us"], await groups_of(connection, row["pk"]) if facts.groups else ())
