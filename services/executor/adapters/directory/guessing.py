"""Verifying a password: admitted first, then counted, then hashed; the same for those who exist and those who do not.

Counting happens in one statement, before the hash, under the locks of the two rows that it changes; so no race, no
second path and no other spelling gets more guesses (security reference R11). Whether an attempt is looked at at all is
not visible: over a limit the work is the same and the answer is "wrong".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.executor.adapters.directory.events import Cause, user_changed
from services.executor.adapters.directory.hashing import HashPool, Place
from services.executor.adapters.directory.kinds import HashKinds
from services.executor.adapters.directory.rows import FACTS, facts_of
from services.executor.application.ports import AskKey
from services.executor.domain.identifiers import counter_of
from services.executor.domain.limits import GuessLimits, bucket
from services.executor.domain.passwords import BadPassword, PasswordHash, normalised
from shared.contracts import wire
from shared.flows.asks import INBUILT, PasswordVerified, VerifyPassword
from shared.kernel.clock import Clock
from shared.messaging.log import Message
from shared.postgres.outbox import columns
from shared.postgres.pool import Database, Row

RESULT_MAX: Final = 128 * 1024

# $1-$5 key of the ask, $6 user, $7 counter of what was typed, $8 address, $9 now, $10/$11 limit and pause of an account,
# $12/$13 limit and window of an address. The address comes first in every statement, so that no two wait for each other.
_COUNT: Final = f"""
WITH known AS MATERIALIZED (
    SELECT result FROM ask_results WHERE session = $1 AND version = $2 AND command = $3 AND n = $4 AND kind = $5
), person AS MATERIALIZED (
    SELECT {FACTS}, u.password, u.password_as_typed, sha256(convert_to(u.username_canonical, 'UTF8')) AS identifier
    FROM users AS u WHERE u.pk = $6::integer
), address AS (
    INSERT INTO address_guesses AS g (address, failures, window_us, allowed)
    SELECT $8::text, 1, $9::bigint, true WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (address) DO UPDATE SET
        allowed = g.failures < $12 OR excluded.window_us - g.window_us >= $13,
        failures = CASE WHEN excluded.window_us - g.window_us >= $13 THEN 1 ELSE least(g.failures + 1, $12::integer) END,
        window_us = CASE WHEN excluded.window_us - g.window_us >= $13::bigint THEN excluded.window_us ELSE g.window_us END
    RETURNING allowed, window_us
), account AS (
    INSERT INTO account_guesses AS g (identifier, user_pk, failures, looked_us, allowed)
    SELECT coalesce((SELECT identifier FROM person), $7::bytea), (SELECT pk FROM person), 1, $9, true FROM address WHERE allowed
    ON CONFLICT (identifier) DO UPDATE SET
        user_pk = coalesce(excluded.user_pk, g.user_pk),
        allowed = g.failures < $10 OR excluded.looked_us - g.looked_us >= $11,
        failures = CASE WHEN g.failures < $10 OR excluded.looked_us - g.looked_us >= $11 THEN g.failures + 1 ELSE g.failures END,
        looked_us = CASE WHEN g.failures < $10::integer OR excluded.looked_us - g.looked_us >= $11::bigint
                         THEN excluded.looked_us ELSE g.looked_us END
    RETURNING allowed
)
SELECT (SELECT result FROM known) AS result, (SELECT allowed FROM address) AS address_allowed,
       (SELECT window_us FROM address) AS window_us, (SELECT allowed FROM account) AS account_allowed, person.*
FROM (SELECT) AS always LEFT JOIN person ON true
"""  # noqa: S608 -- constants only

# The commit does not wait for the disk. If PostgreSQL crashes within the moment until it gets there, the answer is
# forgotten and the attempt stays counted as a failure: it is asked, counted and hashed again. The count itself waits.
_LAZILY: Final = "set_config('synchronous_commit', 'off', true)"

_REMEMBER: Final = """
    INSERT INTO ask_results AS r (session, version, command, n, kind, result, at_us) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (session, version, command, n, kind) DO UPDATE SET kind = r.kind RETURNING r.result"""

# $8 address, $9 the window in which the attempt was counted, $10 counter of the account
_SUCCEED: Final = f"""
WITH address AS (
    UPDATE address_guesses SET failures = greatest(failures - 1, 0) WHERE address = $8 AND window_us = $9 RETURNING failures
), account AS (
    UPDATE account_guesses SET failures = 0 WHERE identifier = $10 AND (SELECT count(*) FROM address) >= 0 RETURNING failures
), remembered AS ({_REMEMBER}
) SELECT result, (SELECT count(*) FROM account), {_LAZILY} FROM remembered"""  # noqa: S608 -- constants only

# $8-$12 what the outbox is to say
_FAIL: Final = f"""
WITH remembered AS ({_REMEMBER}
), said AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT * FROM unnest($8::text[], $9::integer[], $10::bytea[], $11::bytea[], $12::bytea[])
) SELECT result, {_LAZILY} FROM remembered"""  # noqa: S608 -- constants only

_UPGRADE: Final = "UPDATE users SET password = $2, password_as_typed = false WHERE pk = $1 AND password = $3"

Limited = Literal["", "account", "address"]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt that was counted. `stored` is the account's hash, None if there is none."""

    ask: VerifyPassword
    key: AskKey
    row: Row
    limited: Limited
    address: str
    stored: PasswordHash | None


class Guesses:
    """Answers `VerifyPassword`."""

    def __init__(self, database: Database, hashes: HashPool, kinds: HashKinds, clock: Clock, limits: GuessLimits) -> None:
        self._database = database
        self._hashes = hashes
        self._kinds = kinds
        self._clock = clock
        self._limits = limits

    async def verify(self, ask: VerifyPassword, key: AskKey, password: str) -> PasswordVerified:
        """Whether this is the password; `Busy` before anything is counted. The same key gets the same answer.

        What cannot be a password (row H42) is wrong, whoever it is for, and neither counted nor hashed.
        """
        try:
            normalised(password)
        except BadPassword:
            return PasswordVerified(outcome="wrong")
        expected = await self._kinds.expected(ask.user, ask.identifier)
        with self._hashes.place(expected) as place:
            row = await self._count(ask, key)
            if row["result"] is not None:
                return _result(row["result"])
            limited: Limited = "address" if not row["address_allowed"] else "" if row["account_allowed"] else "account"
            attempt = _Attempt(ask, key, row, limited, bucket(ask.address), self._kinds.of(row))
            if await self._matches(attempt, place, password):
                return await self._succeeded(attempt, place, password)
            return await self._failed(attempt)

    async def _count(self, ask: VerifyPassword, key: AskKey) -> Row:
        limits = self._limits
        row = await self._database.fetchrow(
            _COUNT, *_values(key), ask.user, counter_of(ask.identifier), bucket(ask.address), self._clock.now_us(),
            limits.account, limits.pause_us, limits.address, limits.window_us,
        )  # fmt: skip
        if row is None:
            raise AssertionError("a statement that always has a row had none")
        return row

    async def _matches(self, attempt: _Attempt, place: Place, password: str) -> bool:
        """Hash, whatever is known by now; only then say no to those who could not have a yes."""
        row = attempt.row
        matched = await place.verify(attempt.stored or self._kinds.drawn(attempt.ask.identifier), password)
        may = attempt.stored is not None and not attempt.limited and bool(row["is_active"]) and INBUILT in attempt.ask.backends
        return matched and may

    async def _succeeded(self, attempt: _Attempt, place: Place, password: str) -> PasswordVerified:
        row = attempt.row
        await self._upgrade(attempt, place, password)
        result = PasswordVerified(outcome="ok", user=facts_of(row), backend=INBUILT, method="password")
        kept = await self._database.fetchrow(
            _SUCCEED, *self._remembered(attempt.key, result), attempt.address, row["window_us"], row["identifier"]
        )
        return _result(kept["result"]) if kept else result

    async def _failed(self, attempt: _Attempt) -> PasswordVerified:
        result = PasswordVerified(outcome="wrong", limited=attempt.limited)
        kept = await self._database.fetchrow(_FAIL, *self._remembered(attempt.key, result), *columns(self._told(attempt)))
        return _result(kept["result"]) if kept else result

    def _told(self, attempt: _Attempt) -> Sequence[Message]:
        """The event for the account that was guessed at; of names that nobody has, the session's history tells."""
        row = attempt.row
        if row["pk"] is None:
            return ()
        cause = Cause(session=attempt.key.session)
        facts = {"username": row["username"], "address": attempt.ask.address, "limited": attempt.limited}
        return (user_changed(row["pk"], "login_failed", self._clock.now_us(), epoch=row["epoch"], cause=cause, facts=facts),)

    async def _upgrade(self, attempt: _Attempt, place: Place, password: str) -> None:
        """Bring a hash that is not as one of ours to the target cost, now that the password is here."""
        if attempt.stored and (better := await place.upgraded(attempt.stored, password)):
            await self._database.execute(_UPGRADE, attempt.row["pk"], better, attempt.stored.text)

    def _remembered(self, key: AskKey, result: PasswordVerified) -> tuple[Any, ...]:
        return (*_values(key), wire.pack(result.model_dump()), self._clock.now_us())


def _values(key: AskKey) -> tuple[Any, ...]:
    return key.session, key.version, key.command, key.n, key.kind


def _result(raw: bytes) -> PasswordVerified:
    return PasswordVerified.model_validate(wire.unpack(raw, RESULT_MAX))
