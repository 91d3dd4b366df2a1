"""One child process of a tool: started with its output in a file, signalled, waited for, never left behind."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[1]
PORTS: Final = range(20_000, 32_000)
"""Below Linux's outgoing ones (32768 to 60999), above what is usual."""
_GIVEN: Final[set[int]] = set()

# A child outlives nobody: on Linux the kernel kills it when the thread that started it ends, so start children from the
# main thread. In a process of its own, because a forked copy of a program with threads must do nothing but exec.
_LAUNCH: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ChildFailed(Exception):
    """A process ended or did not get ready; the text has the end of its log."""


class Child:
    """A process by name; start it, and start it again after it ended."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(os.environ) | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; `ChildFailed` if it was not started."""
        if self._process is None:
            raise ChildFailed(f"{self.name} was not started")
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it was started and has not ended (a stopped process is alive)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with (negative: the signal that ended it), None while it runs or before it was started."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start it, with a log that begins anew; returns at once."""
        if self.is_alive():
            raise ChildFailed(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *self._command],
                env=self._environment,
                cwd=REPOSITORY,  # so that `-m deploy...` is found
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the tool, which stops its children in order
            )

    def wait_until(self, ready: Callable[[], bool], timeout: float, poll: float = 0.05) -> None:
        """Wait until it is ready; `ChildFailed` if it ends first or is not ready after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.is_alive():
                raise ChildFailed(f"{self.name} ended with code {self.exit_code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} is not ready after {timeout:.0f} s:\n{self.tail()}")
            time.sleep(poll)

    def signal(self, number: int) -> None:
        """Send it a signal; one to which SIGSTOP is sent stands still, with all its threads, when this returns. `ChildFailed` if it has
        ended before."""
        if self._process is not None:
            if not self.is_alive():
                raise ChildFailed(f"{self.name} ended with code {self.exit_code}:\n{self.tail()}")
            self._process.send_signal(number)
            if number == signal.SIGSTOP:
                os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end (SIGTERM), after `timeout` seconds kill it; returns when it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without warning (SIGKILL); returns when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A port on loopback that nobody listens on now, and that this process was not given before.

    Not one of those that the kernel gives to outgoing connections: such a connection may have it by the time it is wanted, and
    a client that knocks at a port of that range while nobody listens there can be given the same one, and talk to itself.
    """
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        if port not in _GIVEN and is_free(port):
            _GIVEN.add(port)
            return port


def is_free(port: int) -> bool:
    """Whether somebody could listen on this port on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
