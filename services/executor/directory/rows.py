"""From rows of `users` to the facts that decisions see, and the columns that it takes."""

import hashlib
import json
from typing import Any, Final
from uuid import UUID

from shared.contracts.people import GroupFacts, UserFacts
from shared.postgres.pool import Row

FACTS: Final = "u.pk, u.uuid, u.username, u.name, u.email, u.is_active, u.is_superuser, u.type, u.path, u.attributes, u.groups, u.epoch"
"""Columns of `users AS u` that `facts_of` needs."""

UID: Final = "encode(sha256('sluice uid'::bytea || uuid_send(uuid)), 'hex')"
"""`uid_of` in SQL, for rows of `users`."""


def facts_of(row: Row) -> UserFacts:
    """The user in a row that has the columns `FACTS`."""
    return UserFacts(
        pk=row["pk"],
        uuid=str(row["uuid"]),
        uid=uid_of(row["uuid"]),
        username=row["username"],
        name=row["name"],
        email=row["email"],
        is_active=row["is_active"],
        is_superuser=row["is_superuser"],
        type=row["type"],
        path=row["path"],
        attributes=plain(row["attributes"]),
        groups=tuple(GroupFacts(**group) for group in json.loads(row["groups"])),
        epoch=row["epoch"],
    )


def uid_of(uuid: UUID) -> str:
    """A user's opaque id for other systems: 64 hex digits that never change and tell nothing."""
    return hashlib.sha256(b"sluice uid" + uuid.bytes).hexdigest()


def plain(text: str) -> dict[str, Any]:
    """An object of jsonb as the wire carries it: arrays as tuples."""
    value: dict[str, Any] = _frozen(json.loads(text))
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
