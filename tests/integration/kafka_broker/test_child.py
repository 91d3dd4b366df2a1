"""Children of the tools: they say why they ended, obey signals, and outlive nobody."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.child import REPOSITORY, Child, ChildFailed, free_port, is_free

PARENT = """
import sys
from pathlib import Path
from deploy.child import Child
child = Child("sleeper", ["sleep", "60"], Path(sys.argv[1]))
child.start()
sys.stdout.write(f"{child.pid}\\n"); sys.stdout.flush()
sys.stdin.read()
"""


def test_one_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = Child("short", ["sh", "-c", "echo no such setting; exit 3"], tmp_path / "log")
    child.start()
    with pytest.raises(ChildFailed, match="short ended with code 3:\nno such setting"):
        child.wait_until(lambda: False, timeout=60)


def test_one_that_does_not_get_ready_is_told(tmp_path: Path) -> None:
    child = Child("slow", ["sleep", "60"], tmp_path / "log")
    child.start()
    try:
        with pytest.raises(ChildFailed, match="not ready"):
            child.wait_until(lambda: False, timeout=0.1)
    finally:
        child.kill()
    assert not child.is_alive()


def test_a_stopped_one_still_ends_in_good_order(tmp_path: Path) -> None:
    child = Child("polite", ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"], tmp_path / "log")
    child.start()
    child.wait_until(lambda: child.tail() == "ready", timeout=60)
    child.signal(signal.SIGSTOP)
    assert child.is_alive()
    child.stop()
    assert not child.is_alive()
    assert child.tail(1) == "bye"


def test_a_stopped_one_stands_still_with_all_its_threads(tmp_path: Path) -> None:
    threads = "import hashlib, threading\ndef spin():\n  while True: hashlib.sha256(bytes(10**6))\n"
    threads += "for _ in range(20): threading.Thread(target=spin).start()"
    child = Child("busy", [sys.executable, "-c", threads], tmp_path / "log")
    child.start()
    try:
        child.wait_until(lambda: len(psutil.Process(child.pid).threads()) == 21, timeout=60)
        for _ in range(5):
            child.signal(signal.SIGSTOP)
            assert {psutil.Process(one.id).status() for one in psutil.Process(child.pid).threads()} == {psutil.STATUS_STOPPED}
            child.signal(signal.SIGCONT)
    finally:
        child.kill()


def test_one_that_ignores_us_is_killed(tmp_path: Path) -> None:
    child = Child("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], tmp_path / "log")
    child.start()
    child.wait_until(lambda: child.tail() == "ready", timeout=60)
    child.stop(timeout=0.2)
    assert not child.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_parent_leaves_nobody(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        sleeper = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait(60)
        sleeper.wait(60)
    assert not sleeper.is_running()


def test_free_ports_are_free_and_given_once_and_to_no_outgoing_connection() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    assert is_free(ports[-1])
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(outgoing.read_text().split()[0]) if outgoing.exists() else 49_152  # RFC 6335
    assert max(ports) < first


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        assert not is_free(somebody.getsockname()[1])
