"""The worker's port to users, credentials and logins: `Directory` over PostgreSQL."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from services.executor.common.ports import AskKey, OrderKey
from services.executor.directory.finding import Finding, get_user
from services.executor.directory.guessing import Guesses
from services.executor.directory.hashing import HashPool
from services.executor.directory.kinds import HashKinds
from services.executor.directory.ordering import Orders
from services.executor.directory.telling import Tell, in_turn
from services.executor.rules.guess_limits import GuessLimits
from shared.contracts.asks import Ask, DevicesListed, FindUser, GetUser, ListDevices, UserFound, VerifyPassword
from shared.contracts.model import Value
from shared.contracts.orders import Order, OrderResult
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_bytes
from shared.postgres.migrations import MigrationSet
from shared.postgres.outbox import OUTBOX
from shared.postgres.pool import TIMEOUT, Database, open_pool

SCHEMA: Final = "executor"
LIMITS: Final = GuessLimits()
DIRECTORY: Final = MigrationSet.load("directory", files("services.executor.migrations"))


async def open_directory(dsn: str, *, schema: str = SCHEMA, size: int = 8, limit_s: float = TIMEOUT) -> Database:
    """The directory's database, migrated before its first use; returns at once, whether PostgreSQL is there or not."""
    return await open_pool(dsn, schema=schema, size=size, migrations=(OUTBOX, DIRECTORY), limit_s=limit_s)


class PostgresDirectory:
    """Answers asks and performs orders; see `services.executor.common.ports.Directory`. `secret`: 32 bytes, the same in
    every process of the installation."""

    def __init__(
        self, database: Database, hashes: HashPool, clock: Clock, limits: GuessLimits = LIMITS, *, secret: bytes, tell: Tell = in_turn
    ) -> None:
        self._database = database
        self._finding = Finding(database)
        kinds = HashKinds(database, hashes, clock, derived_bytes(secret, "hash kinds"))
        self._guesses = Guesses(database, hashes, kinds, clock, limits, derived_bytes(secret, "guesses"))
        self._orders = Orders(database, clock, tell)

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        """See `Directory.answer`. Asks that change nothing are simply asked again; their answers are in the transition."""
        match ask:
            case FindUser():
                return await self._finding.find(ask)
            case GetUser():
                user = await get_user(self._database, ask.user)
                return UserFound(user=user, identifier=user.username if user else "")
            case VerifyPassword():
                return await self._guesses.verify(ask, key, secret or "", devices)
            case ListDevices():
                return DevicesListed(devices=())  # nobody can enrol one yet
            case _:
                raise TypeError(f"no such ask: {ask.kind}")

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        """See `Directory.perform`."""
        return await self._orders.perform(key, orders)
