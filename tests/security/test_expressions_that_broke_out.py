"""Somebody has broken out of the expressions' interpreter and runs code of their own in a worker process: what can they reach?

`broken_out.py` stands where the interpreter stood, behind the same walls; its siblings here look at real workers from outside.
What this machine's kernel refuses to build is skipped by name.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.policy.adapters.sandbox.walls import confine, process, seccomp
from services.policy.adapters.sandbox.workers import Limits, Workers

PROGRAM = Path(sysconfig.get_path("scripts")) / "monty"
ROOT = Path(__file__).parents[2]
SOMEBODY = 10_001
FILES = (
    *("read /etc/passwd", "read the key", "read the holder's environment", "read the holder's memory", "list the folder", "write a file"),
    *("append to the key", "truncate the key", "remove the key", "make a folder", "make a link", "rename the key"),
)
NETWORK = ("connect to loopback", "connect to an abstract socket", "send a datagram", "listen")
PROCESSES = (
    *("fork", "clone without a thread", "run a program", "debug the holder", "read the holder by process_vm_readv", "hold the holder"),
    *("signal the holder", "signal everybody"),
)
KERNEL = (
    *("a new user namespace", "mount", "io_uring", "memfd", "bpf", "keyctl", "shared memory", "userfaultfd", "perf", "become root"),
    *("raise a limit", "change the key's mode"),
)
ALWAYS = ("take the wall of new rights down", "allocate 2 GiB")


@pytest.fixture(params=[None, SOMEBODY], ids=["as this user", "as a plain user"])
def user(request: pytest.FixtureRequest) -> int | None:
    if request.param is not None and os.geteuid() != 0:
        pytest.skip("only root can try as another user")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def world() -> Iterator[dict[str, Any]]:
    """A secret that the file's rights would show to anybody, a folder where anybody may write, and somebody who listens."""
    with (
        tempfile.TemporaryDirectory() as folder,  # pytest's own lies where only this user may look
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        Path(folder).chmod(0o777)
        secret = Path(folder) / "secret.key"
        secret.write_text("hunter2")
        secret.chmod(0o666)
        name = f"sluice-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield {"secret": str(secret), "folder": folder, "port": server.getsockname()[1], "abstract": name, "holder": os.getpid()}


def broken_out(world: dict[str, Any], user: int | None, *without: str) -> dict[str, str]:
    """What came of each attempt; skips if the machine lacks a wall that was not left out."""
    given = json.dumps({**world, "program": str(PROGRAM), "user": user, "without": without})
    run = subprocess.run(
        [sys.executable, "-m", "tests.security.broken_out", given], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report: dict[str, dict[str, str]] = json.loads(run.stdout)
    if report["missing"]:
        pytest.skip(f"this machine has not: {report['missing']}")
    return report["outcomes"]


def test_everything_is_refused_but_a_thread(world: dict[str, Any], user: int | None) -> None:
    outcomes = broken_out(world, user)
    assert outcomes.pop("start a thread") == "DONE"
    assert {name for name, came in outcomes.items() if came == "DONE"} == set()
    assert set(outcomes) == {*FILES, *NETWORK, *PROCESSES, *KERNEL, *ALWAYS}
    assert Path(world["secret"]).read_text() == "hunter2"


def test_without_landlock_the_calls_refuse_what_changes_a_file(world: dict[str, Any], user: int | None) -> None:
    outcomes = broken_out(world, user, confine.FILES)
    readable = {"read /etc/passwd", "read the key"}  # the one thing that only Landlock refuses: the loader has to read
    assert {name for name in (*FILES, *NETWORK, *PROCESSES, *KERNEL) if outcomes[name] == "DONE"} <= readable | {
        "read the holder's environment"
    }
    assert outcomes["read the key"] == "DONE"


def test_without_the_calls_landlock_refuses_files_and_signals(world: dict[str, Any], user: int | None) -> None:
    outcomes = broken_out(world, user, confine.CALLS)
    assert {name for name in FILES if outcomes[name] == "DONE"} == set()
    assert {
        name for name in ("debug the holder", "signal the holder", "connect to an abstract socket") if outcomes[name] == "DONE"
    } == set()


def test_without_both_the_network_is_empty_still(world: dict[str, Any], user: int | None) -> None:
    outcomes = broken_out(world, user, confine.CALLS, confine.FILES)
    assert {name: outcomes[name] for name in ("connect to loopback", "connect to an abstract socket")} == {
        "connect to loopback": "ENETUNREACH",
        "connect to an abstract socket": "ECONNREFUSED",
    }


def test_without_any_wall_the_attempts_do_what_they_say(world: dict[str, Any]) -> None:
    """Or the tests above would show nothing."""
    outcomes = broken_out(world, None, confine.CALLS, confine.FILES, confine.NETWORK, confine.USER)
    reached = {"read /etc/passwd", "read the key", "list the folder", "make a folder", "connect to loopback", "signal the holder", "memfd"}
    assert {name for name in reached if outcomes[name] != "DONE"} == set()


async def test_a_real_worker_has_all_walls_no_environment_and_nothing_open() -> None:
    workers = Workers(1, Limits())
    await workers.start()
    try:
        (worker,) = _workers()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines() if ":\t" in line)
        assert (status["NoNewPrivs"], int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ("1", 0, 0)
        assert worker.environ() == {}
        assert {int(name) for name in os.listdir(f"/proc/{worker.pid}/fd")} == {0, 1, 2}
        assert os.readlink(f"/proc/{worker.pid}/fd/2") == os.devnull
        limits = Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
        most = {line[:26].strip(): line[26:].split()[:2] for line in limits[1:]}
        for name, limit in (
            ("Max address space", process.ADDRESS_SPACE),
            ("Max cpu time", process.CPU_S),
            ("Max open files", process.OPEN_FILES),
            ("Max file size", 0),
            ("Max core file size", 0),
        ):
            assert most[name] == [str(limit), str(limit)]
        if missing := _missing():
            pytest.skip(f"the rest cannot be looked at, this machine has not: {missing}")
        assert status["Seccomp"] == "2"
        assert os.readlink(f"/proc/{worker.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert os.geteuid() != 0 or status["Uid"].split() == ["65534"] * 4
    finally:
        await workers.stop()


_HOLDER = """
import asyncio, ctypes, os, sys
from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.application.ports import Moment
from tests.integration.policy.test_sandbox import facts
async def main():
    os.environ["SLUICE_SECRET_KEY"] = "canary"
    workers = Workers(1, Limits(seconds=60.0))
    await workers.start()
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)  # PR_GET_DUMPABLE
    await workers.evaluate("while True: pass", facts(), Moment(0, "x"), 60.0)
asyncio.run(main())
"""


def _missing() -> dict[str, str]:
    ran = subprocess.run([str(PROGRAM.with_name("sluice-sandbox")), "probe"], capture_output=True, check=True)
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


async def test_a_worker_at_work_dies_with_who_started_it_and_that_one_is_closed_to_debuggers() -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER], cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0\n"
        (worker,) = _workers(holder.pid)
        async with asyncio.timeout(30):
            while worker.cpu_times().user < 0.05:  # noqa: ASYNC110 -- until it is at work
                await asyncio.sleep(0.01)
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
        async with asyncio.timeout(30):
            while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        holder.kill()
        holder.communicate(timeout=30)


def test_the_filters_number_for_the_program_can_never_be_a_file_of_the_worker() -> None:
    assert seccomp.PROGRAM >= process.OPEN_FILES


def _workers(of: int | None = None) -> list[psutil.Process]:
    children = psutil.Process(of).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[:1] == ["monty"]]
