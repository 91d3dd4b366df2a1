"""Ready is what a visitor would meet: a `sluice up` whose PostgreSQL takes no writes says so, and says when it does again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sluice.embedded_postgres.server import EmbeddedPostgres
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WAIT_S = 60.0


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not good(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


async def test_ready_follows_what_postgresql_takes(tmp_path: Path) -> None:
    with SluiceUp(tmp_path / "data") as up:
        visitor = Visitor(up.base_url)

        def ready() -> tuple[int, Any]:
            answer = visitor.ask("/-/health/ready/")
            return answer.status, json.loads(answer.body)

        assert until(ready, lambda found: found[0] == 200)[1]["parts"]["executor.postgres"] is True
        admin = await asyncpg.connect(EmbeddedPostgres(up.data / "postgres").dsn_for("sluice_admin"))
        try:
            for value, status in (("on", 503), ("off", 200)):
                await admin.execute("SET default_transaction_read_only = off")
                await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
                await admin.execute("SELECT pg_reload_conf()")
                body = until(ready, lambda found, status=status: found[0] == status)[1]  # type: ignore[misc]
                wanted = {f"{service}.postgres": "E_POSTGRES_READ_ONLY" for service in ("catalog", "executor")} if status == 503 else None
                if wanted:
                    assert body["reasons"].items() <= wanted.items()
                    assert visitor.ask("/-/health/live/").status == 200
        finally:
            await admin.close()
        assert visitor.log_in("akadmin", up.password)["component"] == "xak-flow-redirect"
