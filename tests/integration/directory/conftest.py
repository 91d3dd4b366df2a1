"""A directory on a real PostgreSQL: nearly free hashes, a clock that tests set."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import pytest

from services.executor.common.ports import AskKey, OrderKey
from services.executor.directory.directory import PostgresDirectory, open_directory
from services.executor.directory.hashing import HashPool
from services.executor.directory.login_lookup import PostgresLogins
from services.executor.directory.naming import NewUser
from services.executor.directory.stored import StoredUser
from services.executor.directory.users import Users
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from services.executor.rules.passwords import TEST_TARGET
from shared.contracts.asks import FindUser, PasswordVerified, UserFound, VerifyPassword
from shared.contracts.directory import EVENTS_CODEC, KEYS_CODEC, REVOCATIONS_CODEC, TOKENS_CODEC, TokenChanged
from shared.contracts.evidence import Evidence, Grounds
from shared.contracts.model import Contract
from shared.contracts.orders import LogIn
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.topics import DIRECTORY_EVENTS, KEYS, REVOCATIONS, TOKENS
from shared.kernel.clock import FixedClock
from shared.postgres.outbox import message_of
from shared.postgres.pool import Database
from sluice.embedded_postgres.server import Role

CODECS = {DIRECTORY_EVENTS: EVENTS_CODEC, REVOCATIONS: REVOCATIONS_CODEC, TOKENS: TOKENS_CODEC, KEYS: KEYS_CODEC}
SECRET = b"k" * 32
INBUILT = "authentik.core.auth.InbuiltBackend"
T = TypeVar("T", bound=Contract)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def hashes(clock: FixedClock) -> Iterator[HashPool]:
    pool = HashPool(clock, TEST_TARGET)
    yield pool
    pool.close()


@pytest.fixture
async def database(postgres_dsn: Callable[[Role], str], postgres_schema: str) -> AsyncIterator[Database]:
    database = await open_directory(postgres_dsn("executor"), schema=postgres_schema)
    await database.prepare()
    yield database
    await database.close()


@dataclass
class People:
    """The directory under test, and the words that tests say to it."""

    database: Database
    directory: PostgresDirectory
    logins: PostgresLogins
    users: Users
    clock: FixedClock
    hashes: HashPool

    def __post_init__(self) -> None:
        self._numbers = count(1)

    async def make(self, username: str = "alice", password: str | None = "alice-pw", **fields: Any) -> StoredUser:
        return await self.users.create(NewUser(username, password=password, **fields))

    def ask_key(self, n: int | None = None) -> AskKey:
        number = next(self._numbers) if n is None else n
        return AskKey("07.session", number, "command", 0, VerifyPassword.kind)

    async def guess(
        self, user: int | None, password: str, *, identifier: str = "alice", address: str = "192.0.2.1", key: AskKey | None = None,
        backends: tuple[str, ...] = (INBUILT,), device: str = "",
    ) -> PasswordVerified:  # fmt: skip
        ask = VerifyPassword(user=user, identifier=identifier, backends=backends, address=address, flow="login", stage="password")
        result = await self.directory.answer(ask, key or self.ask_key(), password, (device,) if device else ())
        assert isinstance(result, PasswordVerified)
        return result

    async def find(self, value: str, *fields: str, case_insensitive: bool = True) -> UserFacts | None:
        ask = FindUser.model_validate(
            {"fields": tuple(fields) or ("username", "email"), "value": value, "case_insensitive": case_insensitive}
        )
        result = await self.directory.answer(ask, self.ask_key(), None)
        assert isinstance(result, UserFound)
        return result.user

    def order(self, user: UserFacts, login: str = "login-1", *, address: str = "192.0.2.1", **changes: Any) -> LogIn:
        claims = LoginClaims(
            login=login, user=user.pk or 0, uid=user.uid, username=user.username, methods=("password",), at_us=self.clock.now_us(),
            expires_us=None, persistent=False, epoch=user.epoch,
        )  # fmt: skip
        proved = Evidence(
            session="07.session", run="run-1", binding="b", version=0, subject=user.uid, method="password", at_us=claims.at_us,
            proves="password", user=user.pk, epoch=user.epoch,
        )  # fmt: skip
        given = {"run": "run-1", "grounds": Grounds(evidence=(proved,)), **changes}
        return LogIn(login=claims, session="07.session", address=address, user_agent="browser", **given)

    async def log_in(self, user: UserFacts, login: str = "login-1", **changes: Any) -> str:
        """Perform a log-in under a key of its own; the reason of its refusal, empty if it was done."""
        key = OrderKey("07.session", next(self._numbers), f"transition-{login}")
        (result,) = await self.directory.perform(key, [self.order(user, login, **changes)])
        assert result.done == (not result.reason)
        return result.reason

    async def said(self, kind: type[T]) -> list[T]:
        """What waits in the outbox to be said, of one kind; every record must decode."""
        found = []
        for row in await self.database.fetch("SELECT * FROM outbox ORDER BY id"):
            message = message_of(row)
            if message.value is not None:
                body = CODECS[message.topic].decode(message).body
                found += [body] if isinstance(body, kind) else []
        return found

    async def revoked(self) -> list[str]:
        """Hashes of the tokens whose record says that they are over."""
        return [token.hash for token in await self.said(TokenChanged) if not token.username]

    async def tombstones(self) -> list[str]:
        rows = await self.database.fetch("SELECT key FROM outbox WHERE value IS NULL ORDER BY id")
        return [row["key"].decode() for row in rows]


@pytest.fixture
async def people(database: Database, hashes: HashPool, clock: FixedClock) -> People:
    directory = PostgresDirectory(database, hashes, clock, GuessLimits(account=10, address=30), secret=SECRET)
    return People(database, directory, PostgresLogins(database, clock, LoginLife()), Users(database, hashes, clock), clock, hashes)
