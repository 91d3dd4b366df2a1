"""The embedded PostgreSQL as a process of its own, which the cluster and the measurements use."""

import json
import sys
from pathlib import Path

import asyncpg

from deploy.child import Child
from sluice.embedded_postgres.account import servers_in


def postgres_process(folder: Path) -> Child:
    return Child("postgres", [sys.executable, "-m", "deploy.postgres", str(folder / "pg")], folder / "log")


async def test_says_where_it_is_and_ends_when_told(tmp_path: Path) -> None:
    process = postgres_process(tmp_path)
    process.start()
    try:
        process.wait_until(lambda: process.log.read_bytes().endswith(b"}\n"), timeout=120)
        uris = json.loads(process.tail(1))
        connection = await asyncpg.connect(uris["catalog"])
        assert await connection.fetchval("SELECT current_schema()") == "catalog"
        await connection.close()
    finally:
        process.stop()
    assert not process.is_alive()
    assert not servers_in(tmp_path / "pg" / "data")


async def test_a_kill_takes_the_server_along_or_the_next_start_ends_it(tmp_path: Path) -> None:
    process = postgres_process(tmp_path)
    process.start()
    try:
        process.wait_until(lambda: process.log.read_bytes().endswith(b"}\n"), timeout=120)
        process.kill()
        process.start()
        process.wait_until(lambda: process.log.read_bytes().endswith(b"}\n"), timeout=120)
        connection = await asyncpg.connect(json.loads(process.tail(1))["executor"])
        await connection.close()
    finally:
        process.stop()


async def test_data_of_another_version_end_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "pg" / "data").mkdir(parents=True)
    (tmp_path / "pg" / "data" / "PG_VERSION").write_text("17\n")
    process = postgres_process(tmp_path)
    process.start()
    try:
        process.wait_until(lambda: not process.is_alive(), timeout=120)
    finally:
        process.kill()
    assert "E_POSTGRES_FAILED" in process.tail()
