"""The first administrator: `akadmin`, made once per installation, with a password that is given or made up.

That it was done is kept for good: whoever deletes `akadmin` later does not reopen it.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from services.executor.directory.making import insert
from services.executor.directory.naming import NewUser, checked
from services.executor.directory.tokens import put_token
from services.executor.directory.users import Users
from shared.kernel.clock import Clock
from shared.postgres.pool import Connection, Database

NAME: Final = "akadmin"
TOKEN: Final = "authentik-bootstrap-token"  # noqa: S105 -- the identifier that authentik gives it
MADE_UP: Final = 18  # bytes

_WHAT: Final = "first administrator"
_OPEN: Final = "SELECT NOT EXISTS (SELECT FROM done_once WHERE what = $1)"
_CLOSE: Final = "INSERT INTO done_once (what, at_us) VALUES ($1, $2) ON CONFLICT DO NOTHING"
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
        still_open = await connection.fetchval(_OPEN, _WHAT)
    made_up = secrets.token_urlsafe(MADE_UP) if still_open and password is None else None
    new = NewUser(NAME, "authentik Default Admin", email, made_up or password, superuser=True)
    given = checked(new)
    hashed = await users.hashed(given.password) if still_open and given.password is not None else None
    async with database.transaction() as connection:
        created = await _is_ours(connection, clock.now_us()) if still_open else False
        if created:
            await insert(connection, database.schema, new, given, hashed, clock.now_us())
        if token:
            await _put(connection, database.schema, clock.now_us(), token)
    return Bootstrapped(created, made_up if created else None)


async def _is_ours(connection: Connection, now_us: int) -> bool:
    """Take the one turn there is; False if somebody else has, or `akadmin` was made by hand."""
    taken = str(await connection.execute(_CLOSE, _WHAT, now_us)) == "INSERT 0 1"
    return taken and await connection.fetchval(_ADMIN, NAME) is None


async def _put(connection: Connection, schema: str, now_us: int, token: str) -> None:
    pk = await connection.fetchval(_ADMIN, NAME)
    if pk is not None:
        await put_token(connection, schema, now_us, pk, TOKEN, token)
