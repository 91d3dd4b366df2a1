"""The catalog's store in PostgreSQL: events, read table, what readers were told and the outbox in one transaction.

Changes go one at a time, under an advisory lock taken before anything is read: the catalog that was decided on is the
one that is written, positions of events are in the order of commits, and outbox rows in the order of their meaning.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from services.catalog.adapters.postgres import published
from services.catalog.application import records
from services.catalog.application.ports import Decide, ShippedFile
from services.catalog.application.records import Occasion
from services.catalog.domain.objects import Catalog, Definition, Deleted, Event, Key, evolve
from services.catalog.domain.publication import PointerKey, Standing, news
from shared.kernel.clock import Clock
from shared.postgres import outbox
from shared.postgres.migrations import MigrationSet
from shared.postgres.pool import Connection, Database, Row

MIGRATIONS: Final = (outbox.OUTBOX, MigrationSet.load("catalog", files("services.catalog").joinpath("migrations")))

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_POSITION: Final = "SELECT coalesce(max(position), 0) FROM events"
# One statement, so that the definitions are those of this position whatever is committed meanwhile.
_ALL: Final = f"""
SELECT at.position, kind, pk::text, ptr::text, type, fields
FROM ({_POSITION}) AS at (position) LEFT JOIN definitions ON true"""  # noqa: S608 -- our own text
_VERSIONS: Final = "SELECT stream, max(version) AS version FROM events WHERE stream = ANY($1) GROUP BY stream"
_APPEND: Final = """
INSERT INTO events (stream, version, what, actor, at_us, before, after) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb)"""
_DROP: Final = "DELETE FROM definitions WHERE kind = $1 AND pk = $2::text::uuid"
_WRITE: Final = """
INSERT INTO definitions (kind, pk, ptr, type, version, name, fields)
VALUES ($1, $2::text::uuid, $3::text::uuid, $4, $5, $6, $7::jsonb)"""
_REMEMBER: Final = """
INSERT INTO applied_files (name, hash, at_us) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, at_us = excluded.at_us"""


class PostgresStore:
    """See `ports.Store`. Keeps the last catalog that it read, and reads it again when there are newer events."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str], trace: Callable[[], str | None] = lambda: None) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._trace = trace
        self._seen: tuple[int, Catalog] | None = None

    async def catalog(self) -> Catalog:
        """See `ports.Store.catalog`."""
        async with self._database.connection() as connection:
            return await self._current(connection)

    async def change(self, actor: str, decide: Decide, shipped: ShippedFile | None = None, *, end_runs: bool = False) -> Sequence[Event]:
        """See `ports.Store.change`."""
        async with self._database.transaction() as connection:
            await self._lock(connection)
            if shipped and await self._is_applied(connection, shipped):
                return ()
            catalog = await self._current(connection)
            events = decide(catalog)
            occasion = Occasion(self._clock.now_us(), self._new_id, self._trace())
            if events:
                await self._commit(connection, actor, evolve(catalog, events), events, occasion, end_runs=end_runs)
            if shipped:
                await connection.execute(_REMEMBER, shipped.name, shipped.hash, occasion.at_us)
        return events

    async def published(self, within_s: float) -> bool:
        """See `ports.Store.published`."""
        return await outbox.said(self._database, within_s)

    async def tell_again(self, standing: Mapping[PointerKey, Standing] = MappingProxyType({})) -> int:
        """See `ports.Store.tell_again`. What is `standing` in the log its readers know, whatever was written down of that."""
        async with self._database.transaction() as connection:
            await self._lock(connection)
            occasion = Occasion(self._clock.now_us(), self._new_id, self._trace())
            held = await published.held(connection)
            told = news(held.forgotten(standing), records.published(await self._current(connection)))
            await published.note(connection, told, occasion.at_us)
            await outbox.append(connection, self._database.schema, records.definition_records(told, occasion))
        return len(told.pointers)

    async def sweep(self) -> int:
        """See `ports.Store.sweep`."""
        async with self._database.transaction() as connection:
            await self._lock(connection)
            bodies, pointers = await published.expired(connection, self._clock.now_us())
            await outbox.append(connection, self._database.schema, records.tombstones(bodies, pointers))
        return len(bodies) + len(pointers)

    async def _lock(self, connection: Connection) -> None:
        await connection.execute(_LOCK, f"sluice catalog {self._database.schema}")

    async def _is_applied(self, connection: Connection, shipped: ShippedFile) -> bool:
        applied: str | None = await connection.fetchval("SELECT hash FROM applied_files WHERE name = $1", shipped.name)
        return applied == shipped.hash

    async def _current(self, connection: Connection) -> Catalog:
        if self._seen is None or self._seen[0] != await connection.fetchval(_POSITION):
            rows = await connection.fetch(_ALL)
            definitions = (_definition(row) for row in rows if row["kind"] is not None)
            self._seen = (rows[0]["position"], Catalog({one.key: one for one in definitions}))
        return self._seen[1]

    async def _commit(
        self, connection: Connection, actor: str, after: Catalog, events: Sequence[Event], occasion: Occasion, *, end_runs: bool
    ) -> None:
        versioned = await self._versioned(connection, events)
        told = news(await published.held(connection), records.published(after), end_runs=end_runs)
        messages = records.definition_records(told, occasion)
        messages += records.event_records(versioned, actor, occasion)
        await connection.executemany(_APPEND, [_event(version, event, actor, occasion.at_us) for version, event in versioned])
        await self._write(connection, versioned)
        await published.note(connection, told, occasion.at_us)
        await outbox.append(connection, self._database.schema, messages)

    async def _versioned(self, connection: Connection, events: Sequence[Event]) -> list[tuple[int, Event]]:
        streams = sorted({records.stream(records.subject(event)) for event in events})
        versions = {row["stream"]: row["version"] for row in await connection.fetch(_VERSIONS, streams)}
        out = []
        for event in events:
            stream = records.stream(records.subject(event))
            versions[stream] = versions.get(stream, 0) + 1
            out.append((versions[stream], event))
        return out

    async def _write(self, connection: Connection, versioned: Sequence[tuple[int, Event]]) -> None:
        """Bring the read table to what the events say: the last one of each definition. All that changed goes before
        anything comes, so that two that exchange their names do not clash on the way."""
        last: dict[Key, tuple[int, Event]] = {records.subject(event).key: (version, event) for version, event in versioned}
        await connection.executemany(_DROP, list(last))
        rows = [_row(version, records.subject(event)) for version, event in last.values() if not isinstance(event, Deleted)]
        await connection.executemany(_WRITE, rows)


def _definition(row: Row) -> Definition:
    return Definition(row["kind"], row["pk"], json.loads(row["fields"]), row["type"], row["ptr"] or "")


def _row(version: int, one: Definition) -> tuple[Any, ...]:
    return (one.kind, one.pk, one.ptr or None, one.type, version, one.name, json.dumps(one.fields))


def _event(version: int, event: Event, actor: str, now_us: int) -> tuple[Any, ...]:
    before, after = records.history(event)
    told = [json.dumps(one) if one else None for one in (before, after)]
    return (records.stream(records.subject(event)), version, records.what(event), actor, now_us, *told)
