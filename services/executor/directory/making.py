"""Putting a checked user into the database: nobody gets a name that is somebody's, or looks like it, or leads to two people."""

from typing import Final
from uuid import UUID

from services.executor.directory.events import user_changed
from services.executor.directory.membership import ADMINS, ensure_group, join
from services.executor.directory.naming import CheckedUser, NewUser, UserRefused
from services.executor.directory.shared_identifiers import told_shared
from services.executor.directory.stored import BY_PK, StoredUser, stored
from services.executor.rules.identifiers import canonical, looked_for_email
from shared.postgres.outbox import append
from shared.postgres.pool import Connection

# $1 the name and $2 its address, if it is one; $3 the address and $4 as a name; $5 how the name looks; $6 the UPN and $7 its
# address. Names of ASCII are not compared by their looks among themselves. A name, an address or a UPN may not be somebody else's
# of another of these kinds: one space of identifiers.
_TAKEN: Final = """
SELECT EXISTS (SELECT FROM users WHERE username_canonical = $1) AS name_is_name,
       EXISTS (SELECT FROM users WHERE email_canonical IN ($1, $2)) AS name_is_address,
       EXISTS (SELECT FROM users WHERE username_canonical IN ($3, $4)) AS address_is_name,
       EXISTS (SELECT FROM users WHERE upn_canonical = $1) AS name_is_upn,
       EXISTS (SELECT FROM users WHERE upn_canonical IN ($3, $4)) AS address_is_upn,
       EXISTS (SELECT FROM users WHERE username_canonical = $6) AS upn_is_name,
       EXISTS (SELECT FROM users WHERE email_canonical IN ($6, $7)) AS upn_is_address,
       EXISTS (SELECT FROM users WHERE username_looks && $5::text[]
               AND (octet_length($1::text) <> char_length($1) OR octet_length(username_canonical) <> char_length(username_canonical))
       ) AS looks_alike"""
_REASONS: Final = (
    ("name_is_name", "username", "This field must be unique."),
    ("name_is_address", "username", "This is the e-mail address of another user."),
    ("name_is_upn", "username", "This is the UPN of another user."),
    ("looks_alike", "username", "This username looks like that of another user."),
    ("address_is_name", "email", "This is the username of another user."),
    ("address_is_upn", "email", "This is the UPN of another user."),
    ("upn_is_name", "attributes", "The upn is the username of another user."),
    ("upn_is_address", "attributes", "The upn is the e-mail address of another user."),
)
_INSERT: Final = """
INSERT INTO users (username, username_canonical, username_looks, name, email, email_canonical, upn_canonical, is_active, type, path,
                   attributes, password, password_as_typed, password_changed_us, joined_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13, $14, $15) RETURNING pk"""


async def insert(connection: Connection, schema: str, new: NewUser, given: CheckedUser, hashed: str | None, now_us: int) -> StoredUser:
    """Insert a checked user in the caller's transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('sluice names ' || $1, 0))", schema)
    await _refuse_taken(connection, given)
    pk = await connection.fetchval(
        _INSERT, given.username, given.username_canonical, list(given.looks), given.name, given.email, given.email_canonical,
        given.upn_canonical, new.is_active, new.type, new.path, given.attributes, hashed, given.hash is not None, now_us if hashed else None, now_us,
    )  # fmt: skip
    if new.superuser:
        await ensure_group(connection, ADMINS, is_superuser=True)
    await join(connection, pk, [UUID(group) for group in new.groups], [ADMINS] if new.superuser else [])
    row = await connection.fetchrow(BY_PK, pk)
    if row is None:
        raise AssertionError("a user that was just made is not there")
    made = await stored(connection, row)
    facts = {"username": made.facts.username, "is_active": made.facts.is_active, "is_superuser": made.facts.is_superuser}
    await append(connection, schema, [user_changed(pk, "created", now_us, facts=facts), *await told_shared(connection, pk, now_us)])
    return made


async def _refuse_taken(connection: Connection, given: CheckedUser) -> None:
    name, address = given.username_canonical, given.email_canonical
    address_as_name = canonical(given.email) if given.email else None
    upn = given.upn_canonical
    taken = await connection.fetchrow(
        _TAKEN, name, looked_for_email(name), address, address_as_name, list(given.looks), upn, looked_for_email(upn) if upn else None
    )
    errors: dict[str, tuple[str, ...]] = {}
    for column, field, reason in _REASONS:
        if taken and taken[column]:
            errors.setdefault(field, (reason,))
    if errors:
        raise UserRefused(errors)
