"""Where the slots of guesses are kept: a row for each account or name that was guessed at within the hour.

A row is read, decided on (`services.executor.rules.guess_limits`) and written only if nobody has written it meanwhile, else all
over again; so decisions of any number of workers come one after the other, without a lock that one of them could keep.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from services.executor.common.ports import Busy
from services.executor.rules.guess_limits import Crowded, Full, GuessLimits, Origin, Slot, Slots, admit, counter_of_user
from shared.contracts import wire
from shared.kernel.clock import Clock
from shared.messaging.log import Message
from shared.postgres.outbox import columns
from shared.postgres.pool import Connection, Database

T = TypeVar("T")

PAUSES: Final = (0.05, 0.1, 0.2, 0.4)
"""Seconds: so long an attempt waits for slots of others to be given back. A hash takes less."""
TRIES: Final = 100
_MAX: Final = 64 * 1024

_READ: Final = "SELECT slots, revision FROM account_guesses WHERE counter = $1"
# $5-$9 what the outbox is to say. A revision never comes again, although rows go.
_WRITE: Final = """
WITH account AS (
    INSERT INTO account_guesses AS g (counter, slots, revision, at_us) VALUES ($1, $2, $4, $4)
    ON CONFLICT (counter) DO UPDATE SET slots = excluded.slots, revision = greatest(g.revision + 1, excluded.revision), at_us = excluded.at_us
    WHERE g.revision = $3 RETURNING revision
), said AS (
    INSERT INTO outbox (topic, partition, key, value, headers)
    SELECT told.* FROM account, unnest($5::text[], $6::integer[], $7::bytea[], $8::bytea[], $9::bytea[]) AS told
) SELECT revision FROM account"""
_CLEAR: Final = """
UPDATE account_guesses AS g SET slots = $2, revision = greatest(g.revision + 1, $3::bigint), at_us = $3
FROM (SELECT counter, slots FROM account_guesses WHERE counter = $1 FOR UPDATE) AS was WHERE g.counter = was.counter RETURNING was.slots"""


@dataclass(frozen=True, slots=True)
class Held:
    """A row as it was read or written last; revision 0: there was none."""

    counter: bytes
    slots: Slots = ()
    revision: int = 0


class AccountSlots:
    """Takes slots and changes them. `Unavailable` when PostgreSQL is away."""

    def __init__(self, database: Database, clock: Clock, limits: GuessLimits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def take(self, held: Held, key: bytes, origin: Origin) -> Held | Full:
        """Take a slot, waiting a moment for one; `Busy` if all are taken by attempts that may turn out to be right."""
        pauses = iter(PAUSES)
        for _ in range(TRIES):
            match admit(held.slots, key, origin, self._limits, self._clock.now_us()):
                case Full() as full:
                    return full
                case Crowded():
                    pause = next(pauses, None)
                    if pause is None:
                        raise Busy
                    await asyncio.sleep(pause)
                case slots:
                    written = await self._write(held, slots, ())
                    if written is not None:
                        return written
            held = await self._read(held.counter)
        raise Busy

    async def change(self, counter: bytes, change: Callable[[Slots], tuple[Slots, Sequence[Message]]]) -> None:
        """Change the slots of a row, and say what is to be said of it, in one."""
        for _ in range(TRIES):
            held = await self._read(counter)
            slots, said = change(held.slots)
            if not held.revision or await self._write(held, slots, said) is not None:
                return
        raise Busy

    async def _read(self, counter: bytes) -> Held:
        row = await self._database.fetchrow(_READ, counter)
        return Held(counter, unpacked(row["slots"]), row["revision"]) if row else Held(counter)

    async def _write(self, held: Held, slots: Slots, said: Sequence[Message]) -> Held | None:
        """The row as it is now, None if somebody else has written it."""
        row = await self._database.fetchrow(_WRITE, held.counter, packed(slots), held.revision, self._clock.now_us(), *columns(said))
        return Held(held.counter, slots, row["revision"]) if row else None


async def clear(connection: Connection, user: int, now_us: int) -> Slots:
    """Give all slots of an account back, in the caller's transaction; the slots that were taken or used up."""
    row = await connection.fetchrow(_CLEAR, counter_of_user(user), packed(()), now_us)
    return unpacked(row["slots"]) if row else ()


def first(key: bytes, origin: Origin, limits: GuessLimits, now_us: int) -> bytes | None:
    """The slots of an account of which none was taken, with one for this attempt; None if there is none even then."""
    slots = admit((), key, origin, limits, now_us)
    return packed(slots) if isinstance(slots, tuple) else None


def packed(slots: Slots) -> bytes:
    """Slots as they are kept."""
    return wire.pack([[slot.key, slot.pool, slot.at_us, slot.failed] for slot in slots])


def unpacked(raw: bytes | None) -> Slots:
    """The slots in a row; none where there is no row."""
    rows: Sequence[Any] = wire.unpack(raw, _MAX) if raw else ()
    return tuple(Slot(*row) for row in rows)
