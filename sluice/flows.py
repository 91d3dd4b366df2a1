"""`sluice flows apply`: definitions from files, into PostgreSQL and its outbox; a running catalog publishes them."""

import asyncio
from pathlib import Path
from typing import Final

from services.catalog.bootstrap import apply_files
from shared.runtime.settings import CommonSettings
from sluice.configuration import read
from sluice.console import say
from sluice.database import database

ACTOR: Final = "sluice flows apply"
UNCHANGED: Final = "nothing to do: everything is as the files say"


def apply(paths: list[Path], *, end_runs: bool, force: bool) -> None:
    """Apply the files, all or none, and print what changed."""
    for line in asyncio.run(_apply(read(CommonSettings), paths, end_runs, force)) or [UNCHANGED]:
        say(line)


async def _apply(settings: CommonSettings, paths: list[Path], end_runs: bool, force: bool) -> list[str]:
    async with database(settings, "catalog") as dsn:
        return await apply_files(dsn, paths, ACTOR, end_runs=end_runs, force=force)
