"""Verifying a password: admitted first, then a slot taken, then hashed; the same for those who exist and those who do not.

A slot is taken before the hash, so no race, no second path and no other spelling gets more guesses,
and counts as a failure once the attempt has failed. Whether an attempt is looked at at all is not visible: without a
slot the work is the same and the answer is "wrong".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.executor.common.ports import AskKey, Busy
from services.executor.directory.events import Cause, user_changed
from services.executor.directory.hashing import HashPool, Place
from services.executor.directory.kinds import HashKinds
from services.executor.directory.rows import FACTS, facts_of
from services.executor.directory.slots import AccountSlots, Held, first, packed, unpacked
from services.executor.rules.guess_limits import (  # fmt: skip
    Full,
    GuessLimits,
    Origin,
    Slots,
    counter_of_name,
    counter_of_user,
    digest_of_name,
    failed,
    locked_by,
    succeeded,
)
from services.executor.rules.passwords import BadPassword, PasswordHash, normalised
from shared.contracts.asks import INBUILT, PasswordVerified, VerifyPassword
from shared.contracts.kept import keep, kept
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_bytes
from shared.kernel.networks import network_of
from shared.messaging.log import Message
from shared.postgres.outbox import columns
from shared.postgres.pool import Database, Row
from shared.telemetry.logs import security

# $1-$5 key of the ask, $6 user, $7 counter of what was typed, $8 address, $9 now, $10-$12 limit and window of an address, and how
# long an attempt is taken to be under way, $13 logins that the browser names. It is known by any of the account's. $14, $15 the first
# slot of an account of which none is taken, for a stranger and for one from a known network; $16 no slots. Nearly every attempt is the
# first, and then takes its slot here; any other one is decided on by what was read.
_BEGIN: Final = f"""
WITH known AS MATERIALIZED (
    SELECT result FROM ask_results WHERE session = $1 AND version = $2 AND command = $3 AND n = $4 AND kind = $5
), person AS MATERIALIZED (
    SELECT {FACTS}, u.password, u.password_as_typed FROM users AS u WHERE u.pk = $6::integer
), whose AS MATERIALIZED (
    SELECT coalesce((SELECT int8send(pk) FROM person), $7::bytea) AS counter,
           (SELECT min(id) FROM logins WHERE id = ANY ($13::text[]) AND user_pk = $6) AS browser,
           EXISTS (SELECT FROM logins WHERE user_pk = $6 AND network = $8::text) AS knows_network
), account AS (
    SELECT slots, revision FROM account_guesses WHERE counter = (SELECT counter FROM whose)
), address AS (
    INSERT INTO address_guesses AS g (address, failures, pending, window_us, at_us, allowed)
    SELECT $8::text, 0, 1, $9::bigint, $9, true WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (address) DO UPDATE SET (failures, pending, window_us, at_us, allowed) = (
        SELECT f, p + (f + p < $10::integer)::integer, w, excluded.at_us, f + p < $10 FROM (
            SELECT CASE WHEN is_new THEN 0 ELSE g.failures END AS f,
                   CASE WHEN is_new OR excluded.at_us - g.at_us >= $12::bigint THEN 0 ELSE g.pending END AS p,
                   CASE WHEN is_new THEN excluded.window_us ELSE g.window_us END AS w
            FROM (SELECT excluded.window_us - g.window_us >= $11::bigint AS is_new) AS the_window
        ) AS counted)
    RETURNING allowed, failures, window_us
), taken AS (
    INSERT INTO account_guesses AS g (counter, slots, revision, at_us)
    SELECT counter, first, $9, $9 FROM (
        SELECT counter, CASE WHEN knows_network THEN $15::bytea ELSE $14::bytea END AS first FROM whose, address WHERE allowed AND browser IS NULL
    ) AS the_first WHERE first IS NOT NULL
    ON CONFLICT (counter) DO UPDATE SET slots = excluded.slots, revision = greatest(g.revision + 1, excluded.revision), at_us = excluded.at_us
    WHERE g.slots = $16::bytea RETURNING slots, revision
)
SELECT known.result, address.allowed, address.failures, address.window_us, whose.browser, whose.knows_network,
       taken.slots IS NOT NULL AS has_slot, coalesce(taken.slots, account.slots) AS slots, coalesce(taken.revision, account.revision) AS revision,
       person.*
FROM whose LEFT JOIN known ON true LEFT JOIN address ON true LEFT JOIN account ON true LEFT JOIN taken ON true LEFT JOIN person ON true
"""  # noqa: S608 -- constants only

_GIVE_BACK: Final = "UPDATE address_guesses SET pending = greatest(pending - 1, 0) WHERE address = $1 AND window_us = $2"

# $1-$5 key of the ask, $6 result, $7 now, $8 address, $9 the window in which it was counted, $10 whether it failed, $11-$13 row of
# the account (its counter, the slots, the revision that was read), $14-$18 what the outbox is to say, $19-$23 if the slots were written.
# The address comes first in every statement, so that no two wait for each other. The commit does not wait for the disk: if PostgreSQL
# crashes within the moment until it gets there, the answer is forgotten, the slot is kept, and it is hashed again.
_END: Final = """
WITH address AS (
    UPDATE address_guesses SET pending = greatest(pending - 1, 0), failures = failures + $10::integer
    WHERE address = $8 AND window_us = $9 RETURNING address
), account AS (
    UPDATE account_guesses SET slots = $12, revision = greatest(revision + 1, $7), at_us = $7
    WHERE counter = $11 AND revision = $13 AND (SELECT count(*) FROM address) >= 0 RETURNING revision
), remembered AS (
    INSERT INTO ask_results AS r (session, version, command, n, kind, result, at_us) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (session, version, command, n, kind) DO UPDATE SET kind = r.kind RETURNING r.result
), said AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT * FROM unnest($14::text[], $15::integer[], $16::bytea[], $17::bytea[], $18::bytea[])
), said_too AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT told.* FROM account, unnest($19::text[], $20::integer[], $21::bytea[], $22::bytea[], $23::bytea[]) AS told
) SELECT result, EXISTS (SELECT FROM account) AS written, set_config('synchronous_commit', 'off', true) FROM remembered"""

_UPGRADE: Final = "UPDATE users SET password = $2, password_as_typed = false WHERE pk = $1 AND password = $3"

Limited = Literal["", "account", "network", "browser", "address"]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt. `held`: with its slot, None for one that has none and is not looked at. `stored` is the account's hash, if any."""

    ask: VerifyPassword
    key: AskKey
    slot: bytes
    row: Row
    held: Held | None
    limited: Limited
    stored: PasswordHash | None


class Guesses:
    """Answers `VerifyPassword`. `secret` keys what is kept of names that nobody has, and what the log calls them."""

    def __init__(self, database: Database, hashes: HashPool, kinds: HashKinds, clock: Clock, limits: GuessLimits, secret: bytes) -> None:
        self._database = database
        self._hashes = hashes
        self._kinds = kinds
        self._clock = clock
        self._limits = limits
        self._secret = secret
        self._slots = AccountSlots(database, clock, limits)

    async def verify(self, ask: VerifyPassword, key: AskKey, password: str, devices: Sequence[str] = ()) -> PasswordVerified:
        """Whether this is the password; `Busy` before anything counts. The same key gets the same answer.

        `devices` are logins that were made in the browser.

        What cannot be a password is wrong, whoever it is for, and neither counted nor hashed.
        """
        try:
            normalised(password)
        except BadPassword:
            return PasswordVerified(outcome="wrong")
        expected = await self._kinds.expected(ask.user, ask.identifier)
        with self._hashes.place(expected) as place:
            slot = derived_bytes(self._secret, "attempt", *_values(key))[:8]
            row = await self._begun(ask, key, devices, slot)
            if row["result"] is not None:
                return kept(row["result"], PasswordVerified)
            attempt = await self._admitted(ask, key, row, slot)
            if await self._matches(attempt, place, password):
                return await self._succeeded(attempt, place, password)
            return await self._failed(attempt)

    async def _begun(self, ask: VerifyPassword, key: AskKey, devices: Sequence[str], slot: bytes) -> Row:
        limits, network, now_us = self._limits, network_of(ask.address), self._clock.now_us()
        firsts = (first(slot, Origin(network, known), limits, now_us) for known in (False, True))
        row = await self._database.fetchrow(
            _BEGIN, *_values(key), ask.user, counter_of_name(self._secret, ask.identifier), network, now_us,
            limits.address, limits.window_us, limits.pending_us, list(devices), *firsts, packed(()),
        )  # fmt: skip
        if row is None:
            raise AssertionError("a statement that always has a row had none")
        return row

    async def _admitted(self, ask: VerifyPassword, key: AskKey, row: Row, slot: bytes) -> _Attempt:
        """The attempt with its slot, or with why it has none; `Busy` if one may be given back in a moment."""
        stored = self._kinds.of(row)
        if not row["allowed"]:
            if row["failures"] < self._limits.address:
                raise Busy
            return _Attempt(ask, key, slot, row, None, "address", stored)
        counter = counter_of_name(self._secret, ask.identifier) if row["pk"] is None else counter_of_user(row["pk"])
        read = Held(counter, unpacked(row["slots"]), row["revision"] or 0)
        if row["has_slot"]:
            return _Attempt(ask, key, slot, row, read, "", stored)
        origin = Origin(network_of(ask.address), row["knows_network"], row["browser"] or "")
        try:
            taken = await self._slots.take(read, slot, origin)
        except Busy:
            await self._database.execute(_GIVE_BACK, network_of(ask.address), row["window_us"])
            raise
        if isinstance(taken, Full):
            return _Attempt(ask, key, slot, row, None, taken.lock, stored)
        return _Attempt(ask, key, slot, row, taken, "", stored)

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
        return await self._ended(attempt, result)

    async def _failed(self, attempt: _Attempt) -> PasswordVerified:
        result = PasswordVerified(outcome="wrong", limited=attempt.limited, knows_browser=attempt.row["browser"] is not None)
        return await self._ended(attempt, result)

    async def _ended(self, attempt: _Attempt, result: PasswordVerified) -> PasswordVerified:
        """Keep the answer, give the slot back or use it up, and say what is to be said."""
        held = attempt.held or Held(b"")
        slots, told = self._settled(attempt, result, held.slots)
        ours = keep(result)
        row = await self._database.fetchrow(
            _END, *_values(attempt.key), ours, self._clock.now_us(),
            network_of(attempt.ask.address), attempt.row["window_us"] if attempt.row["allowed"] else -1, int(result.outcome != "ok"),
            held.counter, packed(slots), held.revision, *columns(self._told(attempt, result)), *columns(told),
        )  # fmt: skip
        if row is None:
            raise AssertionError("a statement that always has a row had none")
        if attempt.held and not row["written"]:
            await self._slots.change(held.counter, lambda now: self._settled(attempt, result, now))
        if result.outcome != "ok":
            self._log(attempt)
        return result if row["result"] == ours else kept(row["result"], PasswordVerified)

    def _settled(self, attempt: _Attempt, result: PasswordVerified, slots: Slots) -> tuple[Slots, Sequence[Message]]:
        """The slots after this attempt; and, for an account whose last one it used up, what everybody is told."""
        if result.outcome == "ok":
            return succeeded(slots, attempt.slot), ()
        lock = locked_by(slots, attempt.slot, self._limits, self._clock.now_us())
        return failed(slots, attempt.slot), self._event(attempt, "locked", lock=lock) if lock else ()

    def _told(self, attempt: _Attempt, result: PasswordVerified) -> Sequence[Message]:
        """The event for the account that was guessed at; of names that nobody has, the session's history tells."""
        return () if result.outcome == "ok" else self._event(attempt, "login_failed", limited=attempt.limited)

    def _event(self, attempt: _Attempt, what: Literal["locked", "login_failed"], **more: str) -> Sequence[Message]:
        """The event, and nothing for a name that nobody has; made for both, so that making it does not tell them apart."""
        row = attempt.row
        cause = Cause(session=attempt.key.session)
        name = self._name(attempt)
        facts = {"username": row["username"] or name, "address": attempt.ask.address, "name_digest": name, **more}
        made = user_changed(row["pk"] or 0, what, self._clock.now_us(), epoch=row["epoch"] or 0, cause=cause, facts=facts)
        return () if row["pk"] is None else (made,)

    def _log(self, attempt: _Attempt) -> None:
        """The line that fail2ban and CrowdSec read (docs/telemetry.md). Not thinned out: each line had its hash."""
        ask = attempt.ask
        facts = {
            "address": ask.address,
            "flow": ask.flow,
            "stage": ask.stage,
            "name_digest": self._name(attempt),
            "limited": attempt.limited,
        }
        security("login_failed", facts=facts)

    def _name(self, attempt: _Attempt) -> str:
        return digest_of_name(self._secret, attempt.row["username"] or attempt.ask.identifier)

    async def _upgrade(self, attempt: _Attempt, place: Place, password: str) -> None:
        """Bring a hash that is not as one of ours to the target cost, now that the password is here."""
        if attempt.stored and (better := await place.upgraded(attempt.stored, password)):
            await self._database.execute(_UPGRADE, attempt.row["pk"], better, attempt.stored.text)


def _values(key: AskKey) -> tuple[Any, ...]:
    return key.session, key.version, key.command, key.n, key.kind
