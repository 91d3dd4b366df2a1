"""Starts and ends a program as another user, so that it ends with us even when we are killed."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from sluice.embedded_postgres.account import Account

STOP_TIMEOUT: Final = 10.0  # s, for each signal

# Runs between fork and exec, in a process of its own so that nothing unsafe happens in a forked copy of ours: drops root
# (the working folder was entered before, so its parents need not be open to that user), asks the kernel for SIGINT
# (PostgreSQL's fast shutdown) when we die, and becomes PostgreSQL under the same pid.
_LAUNCH: Final = """
import ctypes, os, signal, sys
uid, gid, parent = map(int, sys.argv[1:4])
if os.geteuid() != uid:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
os.umask(0o077)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


async def spawn(command: list[str], account: Account, folder: Path, log: IO[bytes]) -> asyncio.subprocess.Process:
    """Run the command in the folder as that user, with nothing of our environment and its output in the log."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _LAUNCH, str(account.uid), str(account.gid), str(os.getpid()), *command),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,  # Ctrl-C is for us: what we stand on goes last
    )


async def end(process: asyncio.subprocess.Process) -> None:
    """Wait for a PostgreSQL to end, with a stronger signal each time: fast shutdown, immediate shutdown, kill."""
    for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(wanted)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
