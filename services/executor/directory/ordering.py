"""Carrying out the orders of a transition: all of them in one PostgreSQL transaction, once (architecture §4.4).

The results are kept under (session, version), with where the transition stands. The same transition gets them again; another one
under that key means that its session was decided on a wrong state, or that the log has lost its tail. After two days they are forgotten;
a log-in that is met after that all the same (a group's offsets were set back) is known by its login, and is not carried out twice.
"""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import asyncpg

from services.executor.common.ports import AnotherTransition, Noted, OrderKey
from services.executor.directory.events import Cause, login_revoked, user_changed
from services.executor.directory.rows import UID
from services.executor.directory.telling import Tell, in_turn, tell_waiting
from shared.contracts.kept import keep, kept
from shared.contracts.orders import LogIn, LogOut, Order, OrderResult, OrdersPerformed
from shared.contracts.people import LoginClaims
from shared.contracts.topics import REVOCATIONS
from shared.flows.orders import lack_of
from shared.kernel.clock import Clock
from shared.kernel.networks import network_of
from shared.messaging.log import Message
from shared.postgres.outbox import columns
from shared.postgres.pool import Connection, Database

_DONE: Final = (OrderResult(n=1, done=True),)

_KNOWN: Final = "SELECT transition, results, at_offset FROM order_results WHERE session = $1 AND version = $2"
_KEEP: Final = """
WITH said AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT * FROM unnest($6::text[], $7::integer[], $8::bytea[], $9::bytea[], $10::bytea[])
) INSERT INTO order_results (session, version, transition, results, at_us, partition, at_offset) VALUES ($1, $2, $3, $4, $5, $11, $12)"""

# The user's row is locked by its own update, and everything else hangs on that. A login that is known has begun, and nothing of it again.
# $1 user, $2 epoch, $3 time, $4 login, $5 methods, $6 session, $7 address, $8 user agent, $9 expiry, $10 uid, $11 network
_BEGIN: Final = f"""
WITH person AS (
    UPDATE users SET last_login_us = $3 WHERE pk = $1 AND is_active AND epoch = $2 AND {UID} = $10
    AND NOT EXISTS (SELECT FROM logins WHERE id = $4) RETURNING pk
), begun AS (
    INSERT INTO logins (id, user_pk, at_us, epoch, methods, session, address, network, user_agent, expires_us)
    SELECT $4, pk, $3, $2, $5, $6, $7, $11, $8, $9 FROM person
    ON CONFLICT (id) DO NOTHING RETURNING id
)"""  # noqa: S608 -- constants only

# $12 the login that goes
_LOG_IN: Final = f"""{_BEGIN}, gone AS (
    UPDATE logins SET ended_us = $3, end_reason = 'replaced'
    WHERE id = $12 AND id <> $4 AND ended_us IS NULL AND EXISTS (SELECT FROM person) RETURNING id, user_pk
) SELECT EXISTS (SELECT FROM person) AS done, (SELECT user_pk FROM gone) AS replaced"""  # noqa: S608 -- constants only

# $12-$16 what the outbox is to say, $17-$21 key, results and time, $22-$23 its place
_LOG_IN_ONLY: Final = f"""{_BEGIN}, said AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT told.* FROM person, unnest($12::text[], $13::integer[], $14::bytea[], $15::bytea[], $16::bytea[]) AS told
), kept AS (
    INSERT INTO order_results (session, version, transition, results, at_us, partition, at_offset)
    SELECT $17, $18, $19, $20, $21, $22, $23 FROM person
) SELECT EXISTS (SELECT FROM person) AS done"""  # noqa: S608 -- constants only

_BEGAN: Final = "SELECT EXISTS (SELECT FROM logins WHERE id = $1 AND user_pk = $2)"
_WHY_NOT: Final = f"SELECT is_active FROM users WHERE pk = $1 AND {UID} = $2"  # noqa: S608 -- constants only
_END_OTHERS: Final = """
UPDATE logins SET ended_us = $3, end_reason = 'terminated' WHERE user_pk = $1 AND id <> $2 AND ended_us IS NULL RETURNING id"""
_LOG_OUT: Final = "UPDATE logins SET ended_us = $3, end_reason = $4 WHERE id = $1 AND user_pk = $2 AND ended_us IS NULL RETURNING id"


class Orders:
    """Performs orders; what they say in the log goes through the outbox, in the same transaction, and what they end is told at once."""

    def __init__(self, database: Database, clock: Clock, tell: Tell = in_turn) -> None:
        self._database = database
        self._clock = clock
        self._tell = tell

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        """See `Directory.perform`. Who tries again because the log was away finds it done, and only what is untold is told."""
        try:
            match orders:
                case [LogIn(replaces=None, terminate_others=False) as only] if not lack_of(only, key.session, key.version):
                    if await self._log_in_only(key, only):
                        return _DONE
                case _:
                    pass
            async with self._database.transaction() as connection:
                results, said = await self._perform(connection, key, orders)
        except asyncpg.UniqueViolationError:  # it was done before, or by somebody else just now; ours is rolled back
            known = await self._database.fetchrow(_KNOWN, key.session, key.version)
            if known is None:
                raise
            if known["transition"] != key.transition:
                raise AnotherTransition(key, Noted(-1 if known["at_offset"] is None else known["at_offset"], known["transition"])) from None
            await tell_waiting(self._database, self._tell, (REVOCATIONS,))
            return kept(known["results"], OrdersPerformed).results
        await self._tell(said)
        return results

    async def _log_in_only(self, key: OrderKey, order: LogIn) -> bool:
        """What nearly all transitions with orders want, in one round trip instead of four; nothing is done if it is refused."""
        told = columns([_logged_in(key, order)])
        kept = (key.session, key.version, key.transition, _packed(_DONE), self._clock.now_us(), key.partition, key.offset)
        row = await self._database.fetchrow(_LOG_IN_ONLY, *_login_values(order), *told, *kept)
        return row is not None and bool(row["done"])

    async def _perform(
        self, connection: Connection, key: OrderKey, orders: Sequence[Order]
    ) -> tuple[Sequence[OrderResult], Sequence[Message]]:
        results: list[OrderResult] = []
        said: list[Message] = []
        for n, order in enumerate(orders, 1):
            reason, told = await _one(connection, key, order)
            results.append(OrderResult(n=n, done=not reason, reason=reason))
            said += told
        await connection.execute(
            _KEEP, key.session, key.version, key.transition, _packed(results), self._clock.now_us(), *columns(said), key.partition, key.offset
        )  # fmt: skip
        return results, said


async def _one(connection: Connection, key: OrderKey, order: Order) -> tuple[str, list[Message]]:
    """Why not (empty: done), and what to say. Its grounds are looked at again: nothing is done because a record says so."""
    if lack := lack_of(order, key.session, key.version):
        return lack, []
    match order:
        case LogIn():
            return await _log_in(connection, key, order)
        case LogOut():
            return await _log_out(connection, key, order)
        case _:
            assert_never(order)


async def _log_in(connection: Connection, key: OrderKey, order: LogIn) -> tuple[str, list[Message]]:
    """Why not (empty: done), and what to say."""
    login, cause = order.login, Cause(key.session, key.transition)
    row = await connection.fetchrow(_LOG_IN, *_login_values(order), order.replaces)
    if row is None or not row["done"]:
        began = await connection.fetchval(_BEGAN, login.login, login.user)
        return "" if began else await _why_not(connection, login), []
    said = [_logged_in(key, order)]
    if row["replaced"] is not None:
        said.append(login_revoked(order.replaces or "", row["replaced"], login.at_us, "replaced", cause))
    if order.terminate_others:
        others = await connection.fetch(_END_OTHERS, login.user, login.login, login.at_us)
        said += [login_revoked(other["id"], login.user, login.at_us, "terminated", cause) for other in others]
    return "", said


def _login_values(order: LogIn) -> tuple[Any, ...]:
    login = order.login
    return (
        login.user, login.epoch, login.at_us, login.login, list(login.methods), order.session, order.address, order.user_agent,
        login.expires_us, login.uid, network_of(order.address),
    )  # fmt: skip


def _logged_in(key: OrderKey, order: LogIn) -> Message:
    login = order.login
    facts = {
        "username": login.username,
        "login": login.login,
        "methods": login.methods,
        "address": order.address,
        "user_agent": order.user_agent,
    }
    return user_changed(login.user, "logged_in", login.at_us, epoch=login.epoch, cause=Cause(key.session, key.transition), facts=facts)


async def _why_not(connection: Connection, login: LoginClaims) -> str:
    row = await connection.fetchrow(_WHY_NOT, login.user, login.uid)
    if row is None:
        return "user_gone"
    return "epoch_over" if row["is_active"] else "user_disabled"


async def _log_out(connection: Connection, key: OrderKey, order: LogOut) -> tuple[str, list[Message]]:
    """A login that is over already, or was never known here, is revoked as well: the wish counts."""
    cause = Cause(key.session, key.transition)
    said = [login_revoked(order.login, order.user, order.at_us, order.reason, cause)]
    if await connection.fetchrow(_LOG_OUT, order.login, order.user, order.at_us, order.reason):
        facts = {"login": order.login, "reason": order.reason}
        said.append(user_changed(order.user, "logged_out", order.at_us, cause=cause, facts=facts))
    return "", said


def _packed(results: Sequence[OrderResult]) -> bytes:
    return keep(OrdersPerformed(results=tuple(results)))
