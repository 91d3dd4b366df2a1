"""Administration of users: made, changed and removed by the REST API and by the command line, running beside a service or not.

Every change and what it says in the log are one transaction. Whatever takes a right away (disabling, deleting, a new
password) raises the user's epoch and revokes, so that no cookie of before is worth anything a second later; that is told before
the method returns (`telling`).
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from services.executor.directory.events import What, user_changed, user_revoked
from services.executor.directory.hashing import HashPool
from services.executor.directory.last_administrator import keeping_an_administrator
from services.executor.directory.making import insert
from services.executor.directory.naming import NewUser, UserRefused, checked, checked_password
from services.executor.directory.shared_identifiers import SHARING
from services.executor.directory.slots import clear
from services.executor.directory.stored import BY_PK, COLUMNS, StoredUser, stored
from services.executor.directory.telling import Tell, in_turn, telling
from services.executor.directory.tokens import revoke, tokens_of
from services.executor.rules.identifiers import BadIdentifier, canonical, is_text
from shared.kernel.clock import Clock
from shared.messaging.log import Message
from shared.postgres.pool import Connection, Database, Row

_BY_NAME: Final = f"SELECT {COLUMNS} FROM users AS u WHERE username_canonical = $1"  # noqa: S608 -- constants only
_WHICH: Final = f"FROM users AS u WHERE NOT $1::boolean OR pk IN {SHARING}"
_COUNT: Final = f"SELECT count(*) {_WHICH}"
_PAGE: Final = f"SELECT {COLUMNS} {_WHICH} ORDER BY username, pk LIMIT $2 OFFSET $3"

_CHANGE_HASH: Final = """
UPDATE users SET password = $2, password_as_typed = false, password_changed_us = $3, epoch = epoch + 1 WHERE pk = $1 RETURNING epoch, username"""
_SET_ACTIVE: Final = """
UPDATE users SET is_active = $2, epoch = epoch + CASE WHEN $2 THEN 0 ELSE 1 END
WHERE pk = $1 AND is_active <> $2 RETURNING epoch, username"""
_DELETE: Final = "DELETE FROM users WHERE pk = $1 RETURNING epoch, username"
_END_LOGINS: Final = "UPDATE logins SET ended_us = $2, end_reason = $3 WHERE user_pk = $1 AND ended_us IS NULL"


class Users:
    """Users, by number or name. `Unavailable` from every method when PostgreSQL is away, `Busy` when hashing is."""

    def __init__(self, database: Database, hashes: HashPool, clock: Clock, tell: Tell = in_turn) -> None:
        self._database = database
        self._hashes = hashes
        self._clock = clock
        self._tell = tell

    async def get(self, pk: int) -> StoredUser | None:
        """The user with this number."""
        return await self._one(BY_PK, pk) if 0 <= pk < 2**31 else None

    async def named(self, username: str) -> StoredUser | None:
        """The user with this name, in whatever spelling."""
        return await self._one(_BY_NAME, canonical(username)) if is_text(username) else None

    async def page(self, number: int, size: int, *, ambiguous: bool = False) -> tuple[int, Sequence[StoredUser]]:
        """How many users there are, and the `number`-th (from 1) `size` of them, by name; `ambiguous`: of those only who share
        an identifier with somebody else."""
        async with self._database.connection() as connection:
            count = await connection.fetchval(_COUNT, ambiguous)
            skipped = (number - 1) * size
            rows = await connection.fetch(_PAGE, ambiguous, size, skipped) if skipped < count else []
            return count, [await stored(connection, row) for row in rows]

    async def create(self, new: NewUser) -> StoredUser:
        """Make a user; `UserRefused` with what is wrong, or that the name is taken."""
        given = checked(new)
        hashed = given.hash or (await self.hashed(given.password) if given.password is not None else None)
        async with self._database.transaction() as connection:
            return await insert(connection, self._database.schema, new, given, hashed, self._clock.now_us())

    async def set_password(self, pk: int, password: str) -> bool:
        """Give a user a new password, ending all logins and clearing the count of guesses; False if there is no such user."""
        try:
            checked_password(password)
        except BadIdentifier as failure:
            raise UserRefused({"password": (failure.message,)}) from None
        hashed, now = await self.hashed(password), self._clock.now_us()
        async with telling(self._database, self._tell) as (connection, said):
            row = await connection.fetchrow(_CHANGE_HASH, pk, hashed, now)
            if row is not None:
                await clear(connection, pk, now)
                said.extend(await self._over(connection, pk, row, "password_set"))
        return row is not None

    async def set_active(self, pk: int, active: bool, *, force: bool = False) -> bool:
        """Disable or enable a user; False if there is no such user, `LastAdministrator` unless forced. Doing it twice changes nothing."""
        async with telling(self._database, self._tell) as (connection, said):
            async with self._keeping(connection, force=force or active):
                told = await self._set_active(connection, pk, active)
            said.extend(told or ())
        return told is not None

    async def delete(self, pk: int, *, force: bool = False) -> bool:
        """Remove a user and all that is theirs; False if there is no such user, `LastAdministrator` unless forced."""
        async with telling(self._database, self._tell) as (connection, said):
            async with self._keeping(connection, force=force):
                told = await self._delete(connection, pk)
            said.extend(told or ())
        return told is not None

    async def hashed(self, password: str) -> str:
        """The hash of a password at the target cost; `Busy` when there is no place."""
        with self._hashes.place() as place:
            return await place.hash(password)

    def _keeping(self, connection: Connection, *, force: bool) -> AbstractAsyncContextManager[None]:
        return keeping_an_administrator(connection, self._database.schema, self._clock.now_us(), force=force)

    async def _set_active(self, connection: Connection, pk: int, active: bool) -> Sequence[Message] | None:
        """What there is to say, None if there is no such user."""
        row = await connection.fetchrow(_SET_ACTIVE, pk, active)
        if row is None:
            return () if await connection.fetchval("SELECT EXISTS (SELECT FROM users WHERE pk = $1)", pk) else None
        if not active:
            return await self._over(connection, pk, row, "disabled")
        said = [user_changed(pk, "enabled", self._clock.now_us(), epoch=row["epoch"], facts={"username": row["username"]})]
        return [*said, *await self._tokens(connection, pk)]

    async def _delete(self, connection: Connection, pk: int) -> Sequence[Message] | None:
        """What there is to say, None if there is no such user."""
        now = self._clock.now_us()
        await connection.execute("SELECT FROM users WHERE pk = $1 FOR UPDATE", pk)
        revoked = await revoke(connection, now, "user_pk = $1", pk)
        row = await connection.fetchrow(_DELETE, pk)
        if row is None:
            return None
        return [
            user_changed(pk, "deleted", now, epoch=row["epoch"] + 1, facts={"username": row["username"]}),
            user_revoked(pk, row["epoch"] + 1, now, "deleted"),
            *revoked,
        ]

    async def _over(self, connection: Connection, pk: int, row: Row, what: What) -> Sequence[Message]:
        """All logins of before are over, and everybody is to be told."""
        now = self._clock.now_us()
        await connection.execute(_END_LOGINS, pk, now, what)
        return [
            user_changed(pk, what, now, epoch=row["epoch"], facts={"username": row["username"]}),
            user_revoked(pk, row["epoch"], now, what),
            *await self._tokens(connection, pk),
        ]

    async def _tokens(self, connection: Connection, pk: int) -> Sequence[Message]:
        return await tokens_of(connection, pk, self._clock.now_us())

    async def _one(self, statement: str, value: int | str) -> StoredUser | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(statement, value)
            return await stored(connection, row) if row else None
