"""`sluice up` as a process of its own, for tests that look at it from outside: over HTTP, by signals, through its files."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deploy.child import Child, free_port

START_S: Final = 180.0
STOP_S: Final = 90.0
COMMAND_S: Final = 180.0
READY: Final = "  stop with  Ctrl-C"
TOKEN: Final = "a-token-of-the-tests-and-of-nobody-else-41"


class SluiceUp:
    """One `sluice up` on one folder; start it, stop or kill it, start it again (on the same port).

    `token` is a superuser's bearer token. `environment` are settings beside those that a test needs anyway; other
    `SLUICE_*` variables of the tests' own environment are not passed on. As a context manager it is started and stopped.
    """

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.token = TOKEN
        self.base_url = ""
        self.password = (environment or {}).get("SLUICE_BOOTSTRAP_PASSWORD", "")
        self._environment = {"SLUICE_LISTEN": f"127.0.0.1:{free_port()}", "SLUICE_METRICS_LISTEN": "off", "SLUICE_BOOTSTRAP_TOKEN": TOKEN}
        if "SLUICE_TEST_CACHED_STARTS" in os.environ:  # what holds without a cache of starts (`.ci/run`)
            self._environment["SLUICE_CACHED_STARTS"] = os.environ["SLUICE_TEST_CACHED_STARTS"]
        self._environment |= {**(environment or {}), "SLUICE_DATA": str(data)}
        self._child = self._made()

    def start(self, timeout: float = START_S) -> None:
        """Start, return once it says that it is ready; `deploy.child.ChildFailed` with what it said if it does not."""
        self._child = self._made()
        self._child.start()
        self._child.wait_until(lambda: READY in self.output, timeout)
        self.base_url = _found(r"log in at +(http://[^/]+)/", self.output)
        if self.told_password:
            self.password = self.told_password

    @property
    def output(self) -> str:
        """All that it has said since it was last started, log lines included."""
        return self._child.log.read_text(errors="replace") if self._child.log.exists() else ""

    @property
    def told_password(self) -> str:
        """The password of akadmin that this start made up, "" if it made none up."""
        found = re.search(r"with password (\S+)", self.output)
        return found[1] if found else ""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to stop, as Ctrl-C in a terminal does (the whole process group is told), and wait; its exit code."""
        os.killpg(self.pid, number)
        return self.wait()

    def wait(self, timeout: float = STOP_S) -> int:
        """Wait until it has ended; its exit code."""
        deadline = time.monotonic() + timeout
        while (code := self._child.exit_code) is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.output}"
            time.sleep(0.02)
        return code

    def kill(self) -> None:
        """End it without warning, as a power cut would."""
        self._child.kill()

    def command(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another `sluice` command with the same settings, beside this process or while it does not run."""
        done = subprocess.run(
            [sys.executable, "-m", "sluice", *arguments],
            env=_clean() | self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert not check or done.returncode == 0, f"sluice {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._child.is_alive():
            self._child.stop(STOP_S)

    def _made(self) -> Child:
        log = self.data.with_name(f"{self.data.name}.output")
        return Child("sluice up", [sys.executable, "-m", "sluice", "up"], log, _hidden() | self._environment)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def _hidden() -> dict[str, str]:
    # `Child` starts from our environment; an empty variable counts as not set.
    return {name: "" for name in os.environ if name.startswith("SLUICE_")}


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"no {pattern!r} in:\n{text}"
    return match[1]
