"""The first administrator: `akadmin`, made once per installation, with a password that is given or made up.

That there is the administrators' group means that it was done; who then deletes `akadmin` does not reopen it (rows R28).
"""

import secrets
from dataclasses import dataclass
from typing import Final

from services.executor.adapters.directory.membership import ADMINS, ensure_group
from services.executor.adapters.directory.naming import NewUser, checked
from services.executor.adapters.directory.tokens import put_token
from services.executor.adapters.directory.users import Users, insert
from shared.kernel.clock import Clock
from shared.postgres.pool import Connection, Database

NAME: Final = "akadmin"
TOKEN: Final = "authentik-bootstrap-token"  # noqa: S105 -- the identifier that authentik gives it
MADE_UP: Final = 18  # bytes

_OPEN: Final = "SELECT NOT EXISTS (SELECT FROM groups WHERE name = $1)"
_ADMIN: Final = "SELECT pk FROM users WHERE username_canonical = $1"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What was done. `password` is a made-up one, to be shown once, else None."""

    created: bool
    password: str | None


async def ensure_admin(
    database: Database, users: Users, clock: Clock, *, password: str | None = None, token: str | None = None, email: str = ""
) -> Bootstrapped:
    """Make `akadmin` if this installation never had one; put `token` in place, if one is given and `akadmin` is there.

    Several processes may do so at once: one does. `UserRefused` if password or address cannot be one.
    """
    async with database.connection() as connection:
        still_open = await connection.fetchval(_OPEN, ADMINS)
    made_up = secrets.token_urlsafe(MADE_UP) if still_open and password is None else None
    new = NewUser(NAME, "authentik Default Admin", email, made_up or password, superuser=True)
    given = checked(new)
    hashed = await users.hashed(given.password) if still_open and given.password is not None else None
    async with database.transaction() as connection:
        created = bool(still_open) and await ensure_group(connection, ADMINS, is_superuser=True)
        if created:
            await insert(connection, database.schema, new, given, hashed, clock.now_us())
        if token:
            await _put(connection, database.schema, clock.now_us(), token)
    return Bootstrapped(created, made_up if created else None)


async def _put(connection: Connection, schema: str, now_us: int, token: str) -> None:
    pk = await connection.fetchval(_ADMIN, NAME)
    if pk is not None:
        await put_token(connection, schema, now_us, pk, TOKEN, token)
