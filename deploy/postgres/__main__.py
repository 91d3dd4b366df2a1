"""`python -m deploy.postgres FOLDER`: the embedded PostgreSQL as a process, until SIGTERM; prints one line of JSON when ready.

The line has the URIs of the roles (`catalog`, `executor`, `sluice_admin`); they hold no secret, the server knows its users
by the operating system's word.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import get_args

from shared.kernel.errors import SluiceError
from sluice.embedded_postgres.server import EmbeddedPostgres, Role


async def _serve(folder: Path) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    postgres = EmbeddedPostgres(folder)
    await postgres.start()
    ended, told = asyncio.create_task(postgres.wait()), asyncio.create_task(stopped.wait())
    try:
        print(json.dumps({role: postgres.dsn_for(role) for role in get_args(Role)}), flush=True)
        await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        await postgres.stop()
    return 0 if stopped.is_set() else 1


def main() -> None:
    """Run until SIGTERM or Ctrl-C; exit code 1 if PostgreSQL ended by itself or did not start."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.postgres FOLDER")
    try:
        sys.exit(asyncio.run(_serve(Path(sys.argv[1]))))
    except SluiceError as error:
        sys.exit(f"{error.code}: {error}")


if __name__ == "__main__":
    main()
