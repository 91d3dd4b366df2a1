"""`roles.sql` in a database that is not ours: run by its owner, who is no superuser, and run again."""

from importlib.resources import files
from pathlib import Path

import asyncpg

from sluice.embedded_postgres.server import EmbeddedPostgres

SCRIPT = files("shared.postgres").joinpath("roles.sql").read_text()
OWNERS = "SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname IN ('catalog', 'executor') ORDER BY 1"


async def test_an_owner_without_superuser_rights_may_run_it_twice(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "pg")
    await postgres.start()
    try:
        admin = await asyncpg.connect(postgres.dsn())
        await admin.execute("DROP SCHEMA catalog, executor; DROP OWNED BY catalog, executor; DROP ROLE catalog, executor")
        await admin.execute("CREATE ROLE landlord LOGIN CREATEROLE")
        await admin.execute("CREATE DATABASE rented OWNER landlord")
        await admin.close()
        rented = await asyncpg.connect(postgres.dsn("rented"))
        await rented.execute("SET SESSION AUTHORIZATION landlord")
        await rented.execute(SCRIPT)
        await rented.execute(SCRIPT)
        assert [tuple(row) for row in await rented.fetch(OWNERS)] == [("catalog", "catalog"), ("executor", "executor")]
        await rented.close()
        service = await asyncpg.connect(postgres.dsn("rented", "catalog"))
        assert await service.fetchval("SELECT current_schema()") == "catalog"
        await service.close()
    finally:
        await postgres.stop()
