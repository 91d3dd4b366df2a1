"""Groups and who is in them. What a login needs of it stands, spread out, in the user's own row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from services.executor.directory.naming import UserRefused
from shared.postgres.pool import Connection

ADMINS: Final = "authentik Admins"

_JOIN: Final = "INSERT INTO memberships (user_pk, group_pk) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_ENSURE: Final = "INSERT INTO groups (name, is_superuser) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"

# Groups of a user, through ancestors too; UNION ends circles.
_SPREAD: Final = """
WITH RECURSIVE reach AS (
    SELECT g.* FROM groups AS g JOIN memberships AS m ON m.group_pk = g.pk WHERE m.user_pk = $1
    UNION
    SELECT g.* FROM groups AS g JOIN reach AS r ON g.pk = r.parent
)
UPDATE users SET
    groups = (SELECT coalesce(jsonb_agg(jsonb_build_object('pk', pk, 'name', name, 'is_superuser', is_superuser) ORDER BY name), '[]') FROM reach),
    is_superuser = (SELECT coalesce(bool_or(is_superuser), false) FROM reach)
WHERE pk = $1"""

_OF_USER: Final = """
SELECT g.pk, g.num, g.name, g.is_superuser, g.parent, p.name AS parent_name, g.attributes
FROM memberships AS m JOIN groups AS g ON g.pk = m.group_pk LEFT JOIN groups AS p ON p.pk = g.parent
WHERE m.user_pk = $1 ORDER BY g.name"""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group that a user is directly in."""

    pk: str
    num: int
    name: str
    is_superuser: bool
    parent: str | None
    parent_name: str | None
    attributes: Mapping[str, Any]


async def ensure_group(connection: Connection, name: str, *, is_superuser: bool) -> None:
    """Make a group unless there is one of this name."""
    await connection.execute(_ENSURE, name, is_superuser)


async def join(connection: Connection, user: int, groups: Sequence[UUID], named: Sequence[str] = ()) -> None:
    """Put a user into groups; `UserRefused` for one that does not exist. The user's row is locked until the end."""
    if not groups and not named:
        return
    await connection.execute("SELECT FROM users WHERE pk = $1 FOR NO KEY UPDATE", user)
    found = await connection.fetch("SELECT pk, name FROM groups WHERE pk = ANY ($1) OR name = ANY ($2) FOR KEY SHARE", groups, named)
    there = {row["pk"] for row in found} | {row["name"] for row in found}
    missing = [str(one) for one in (*groups, *named) if one not in there]
    if missing:
        raise UserRefused({"groups": (f'Invalid pk "{missing[0]}" - object does not exist.',)})
    for row in found:
        await connection.execute(_JOIN, user, row["pk"])
    await connection.execute(_SPREAD, user)


async def groups_of(connection: Connection, user: int) -> tuple[GroupRow, ...]:
    """The groups that a user is directly in, by name."""
    rows = await connection.fetch(_OF_USER, user)
    return tuple(
        GroupRow(
            str(row["pk"]), row["num"], row["name"], row["is_superuser"], str(row["parent"]) if row["parent"] else None,
            row["parent_name"], json.loads(row["attributes"]),
        )
        for row in rows
    )  # fmt: skip
