"""What the readers of `catalog.definitions` have been told: pointers with their versions, and bodies until their tombstone."""

from typing import Any, Final

from services.catalog.domain.publication import Held, Move, News, Pointer, PointerKey
from shared.contracts.topics import HOUR
from shared.postgres.pool import Connection

KEEP_US: Final = 25 * HOUR * 1_000_000
"""How long a body outlives its last pointer: the longest session and an hour (architecture §2)."""

_POINTERS: Final = "SELECT kind, pk::text, version, name, body, needs, removed_us, runs_from FROM pointers"
_MOVE: Final = """
INSERT INTO pointers (kind, pk, version, name, body, needs, runs_from) VALUES ($1, $2::text::uuid, $3, $4, $5, $6, $7)
ON CONFLICT (kind, pk) DO UPDATE
SET version = excluded.version, name = excluded.name, body = excluded.body, needs = excluded.needs,
    runs_from = excluded.runs_from, removed_us = NULL"""
_REMOVE: Final = """
INSERT INTO pointers (kind, pk, version, name, body, needs, runs_from, removed_us) VALUES ($1, $2::text::uuid, $3, '', '', '{}', $3, $4)
ON CONFLICT (kind, pk) DO UPDATE SET version = excluded.version, runs_from = excluded.runs_from, removed_us = excluded.removed_us"""
_KEEP: Final = "INSERT INTO bodies (hash) SELECT unnest($1::text[]) ON CONFLICT (hash) DO NOTHING"
_NEEDED: Final = "UPDATE bodies SET free_us = NULL WHERE free_us IS NOT NULL AND hash = ANY($1)"
_FREE: Final = "UPDATE bodies SET free_us = $2 WHERE free_us IS NULL AND NOT hash = ANY($1)"
_FORGET_BODIES: Final = "DELETE FROM bodies WHERE free_us <= $1 RETURNING hash"
_FORGET_POINTERS: Final = "DELETE FROM pointers WHERE removed_us <= $1 RETURNING kind, pk::text"


async def held(connection: Connection) -> Held:
    """What readers hold. An object that is gone keeps its version, so that one that comes again goes on from there."""
    pointers: dict[PointerKey, tuple[int, Pointer | None]] = {}
    runs_from: dict[PointerKey, int] = {}
    for row in await connection.fetch(_POINTERS):
        pointer = Pointer(row["kind"], row["pk"], row["name"], row["body"], tuple(row["needs"]))
        pointers[pointer.key] = (row["version"], pointer if row["removed_us"] is None else None)
        runs_from[pointer.key] = row["runs_from"]
    bodies = frozenset(row["hash"] for row in await connection.fetch("SELECT hash FROM bodies"))
    return Held(pointers, bodies, runs_from)


async def note(connection: Connection, told: News, now_us: int) -> None:
    """Write down what readers are being told."""
    await connection.executemany(_MOVE, [_row(move) for move in told.pointers])
    await connection.executemany(_REMOVE, [(kind, pk, version, now_us) for version, (kind, pk) in told.removed])
    needed = sorted(told.needed)
    await connection.execute(_KEEP, needed)
    await connection.execute(_NEEDED, needed)
    await connection.execute(_FREE, needed, now_us)


async def expired(connection: Connection, now_us: int) -> tuple[list[str], list[PointerKey]]:
    """Forget, and name, the bodies and pointers whose tombstone is due."""
    bodies = await connection.fetch(_FORGET_BODIES, now_us - KEEP_US)
    pointers = await connection.fetch(_FORGET_POINTERS, now_us - KEEP_US)
    return [row["hash"] for row in bodies], [(row["kind"], row["pk"]) for row in pointers]


def _row(move: Move) -> tuple[Any, ...]:
    one = move.pointer
    return (one.kind, one.pk, move.version, one.name, one.body, list(one.needs), move.runs_from)
