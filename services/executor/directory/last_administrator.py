"""The last administrator is not taken away by accident: whoever deletes, disables or demotes somebody asks here, before and after.

An administrator is an active superuser who can get in: with a password, or with a bearer token that is not over. Counted are
those that are left once the change is made, in its own transaction, so it does not matter what the change was.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.kernel.errors import SluiceError
from shared.postgres.pool import Connection

_ADMINISTRATORS: Final = """
SELECT EXISTS (SELECT FROM users AS u WHERE u.is_superuser AND u.is_active AND (u.password IS NOT NULL OR EXISTS (
    SELECT FROM tokens AS t WHERE t.user_pk = u.pk AND (t.expires_us IS NULL OR t.expires_us > $1))))"""
# Two who take each other's rights at the same moment would each still see the other. Taken before any row is.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtextextended('sluice administrators ' || $1, 0))"


class LastAdministrator(SluiceError):
    """A change that nobody forced, after which there would be no administrator who can get in."""

    code = "E_LAST_ADMINISTRATOR"

    def __init__(self) -> None:
        super().__init__("Nobody who may administer could get in any more. It is done only if it is forced (?force=true, --force).")


@asynccontextmanager
async def keeping_an_administrator(connection: Connection, schema: str, now_us: int, *, force: bool) -> AsyncIterator[None]:
    """Around a change, first thing in its transaction: `LastAdministrator`, which rolls it back, if it takes the last one."""
    if force:
        yield
        return
    await connection.execute(_ONE_AT_A_TIME, schema)
    before = await connection.fetchval(_ADMINISTRATORS, now_us)
    yield
    if before and not await connection.fetchval(_ADMINISTRATORS, now_us):
        raise LastAdministrator
