"""The directory put together for whoever administers users from outside the service: the command line, running beside it or not."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from services.executor.directory.bootstrap_admin import Bootstrapped, ensure_admin
from services.executor.directory.directory import open_directory
from services.executor.directory.hashing import HashPool
from services.executor.directory.importing import Imported, import_users, read_table
from services.executor.directory.naming import NewUser, UserRefused
from services.executor.directory.secret_key_check import accept_secret, refuse_another_secret
from services.executor.directory.stored import StoredUser
from services.executor.directory.tokens import create_token, revoke_token
from services.executor.directory.unlocking import Unlocked, Unlocking
from services.executor.directory.users import Users
from services.executor.settings import Settings
from shared.kernel.clock import Clock, SystemClock
from shared.postgres import outbox
from shared.postgres.pool import Database

LIMIT_S: Final = 20.0
"""How long one change may take: who sits at a terminal, or starts a process, waits longer than a visitor."""
TOLD_S: Final = 5.0
AT_A_TERMINAL: Final = "command line"
"""Who did it, in events."""
_DAY_US: Final = 24 * 3600 * 1_000_000
_NO_SLUG: Final = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new bearer token, to be shown once, and the identifier by which it is revoked."""

    identifier: str
    token: str = field(repr=False)


class Administration:
    """Users by name. Writes PostgreSQL and its outbox only; the next relay that runs tells the log, and `told` waits for it.

    `UserRefused` says what is wrong with what was given, `Unavailable` that PostgreSQL is away.
    """

    def __init__(self, database: Database, users: Users, clock: Clock, unlocking: Unlocking) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._unlocking = unlocking

    async def create(self, new: NewUser) -> int:
        """Make a user; the number."""
        return (await self._users.create(new)).pk

    async def set_password(self, name: str, password: str) -> None:
        """Give a user a new password; ends all logins."""
        await self._users.set_password((await self._named(name)).pk, password)

    async def disable(self, name: str, *, force: bool = False) -> None:
        """Keep a user from logging in; ends all logins. `LastAdministrator` for the last who may administer, unless forced."""
        await self._users.set_active((await self._named(name)).pk, active=False, force=force)

    async def enable(self, name: str) -> None:
        """Let a user log in who was disabled; logins that ended stay over, tokens are good again."""
        await self._users.set_active((await self._named(name)).pk, active=True)

    async def unlock(self, name: str) -> Unlocked:
        """Give back all guesses at a user's password; how many, and whose were used up: the `account`'s, a `network`'s, a `browser`'s."""
        were = await self._unlocking.unlock((await self._named(name)).pk, by=AT_A_TERMINAL)
        if were is None:
            raise _nobody(name)
        return were

    async def create_token(self, name: str, *, identifier: str | None = None, days: int | None = None) -> MadeToken:
        """Make a bearer token for a user: good for `days`, None: until it is revoked. Without an `identifier` it gets one."""
        user = await self._named(name)
        wanted = f"{_NO_SLUG.sub('-', user.facts.username)}-{secrets.token_hex(4)}" if identifier is None else identifier
        expires_us = None if days is None else self._clock.now_us() + days * _DAY_US
        token = await create_token(self._database, self._clock, user.pk, wanted, expires_us=expires_us)
        if token is None:
            raise _nobody(name)
        return MadeToken(wanted, token)

    async def revoke_token(self, identifier: str) -> None:
        """End a token."""
        if not await revoke_token(self._database, self._clock, identifier):
            raise UserRefused({"identifier": (f"there is no token {identifier}",)})

    async def import_users(self, lines: Iterable[str]) -> Imported:
        """Make the users of a CSV file; `ImportRefused` if it is none."""
        return await import_users(self._database, self._users, self._clock, lines)

    async def ensure_admin(self, *, password: str | None, token: str | None, email: str) -> Bootstrapped:
        """Make the first administrator if there never was one, and put the token in place."""
        return await ensure_admin(self._database, self._users, self._clock, password=password, token=token, email=email)

    async def accept_secret(self, secret: bytes) -> None:
        """Take this `SLUICE_SECRET_KEY` as the installation's; executors that have another one are refused at their next start."""
        await accept_secret(self._database, secret)

    async def told(self, within_s: float = TOLD_S) -> bool:
        """Whether running services know all that was done; waited for so long."""
        return await outbox.said(self._database, within_s)

    async def _named(self, name: str) -> StoredUser:
        found = await self._users.named(name)
        if found is None:
            raise _nobody(name)
        return found


def _nobody(name: str) -> UserRefused:
    return UserRefused({"username": (f"there is no user {name}",)})


@asynccontextmanager
async def administration(dsn: str, settings: Settings, *, any_secret: bool = False) -> AsyncIterator[Administration]:
    """The users in this database, migrated before the first use. `SecretKeyDiffers` if the settings have another secret key than the
    executors here, unless `any_secret`: then they are another installation's."""
    clock = SystemClock()
    database = await open_directory(dsn, size=1, limit_s=LIMIT_S)
    hashes = HashPool(clock, settings.hash_target)
    try:
        if settings.secret_key is not None and not any_secret:
            await refuse_another_secret(database, settings.secrets)
        yield Administration(database, Users(database, hashes, clock), clock, Unlocking(database, clock, settings.guess_limits))
    finally:
        await asyncio.to_thread(hashes.close)
        await database.close()


__all__ = ["Administration", "Bootstrapped", "Imported", "MadeToken", "NewUser", "Unlocked", "administration", "read_table"]
