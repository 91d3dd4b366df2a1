"""What somebody tries who has broken out of the expressions' interpreter: run as a program, behind the walls of a real worker.

Arguments as JSON: the interpreter's program, the user to be first (None: stay), the walls to leave out, a secret file, a
folder, a port that somebody listens on, and the pid of who holds the keys. It prints what could not be had, and of each
attempt what came of it: the name of the error, or "DONE".
"""

import codecs
import ctypes
import encodings.idna  # noqa: F401
import errno
import json
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.policy.adapters.sandbox.walls import confine, landlock, process, seccomp
from services.policy.adapters.sandbox.walls.launch import wall_in
from services.policy.adapters.sandbox.walls.syscalls import LIBC, syscall

_STEPS: dict[str, tuple[Any, str]] = {
    confine.FILES: (landlock, "keep_only"),
    confine.CALLS: (seccomp, "allow_only_what_is_needed"),
    confine.NETWORK: (process, "leave_network"),
    confine.USER: (process, "be_nobody"),
}
_PTRACE_SEIZE, _CLONE_NEWUSER, _SIGCHLD = 0x4206, 0x10000000, 17  # to seize does not stop who is seized
# x86_64 and aarch64: x86_64's table, asm-generic/unistd.h
_NUMBERS = {
    "x86_64": {"process_vm_readv": 310, "pidfd_open": 434, "io_uring_setup": 425, "memfd_create": 319, "bpf": 321, "keyctl": 250, "shmget": 29, "clone": 56, "mount": 165, "clone3": 435, "userfaultfd": 323, "perf_event_open": 298, "name_to_handle_at": 303},
    "aarch64": {"process_vm_readv": 270, "pidfd_open": 434, "io_uring_setup": 425, "memfd_create": 279, "bpf": 280, "keyctl": 219, "shmget": 194, "clone": 220, "mount": 40, "clone3": 435, "userfaultfd": 282, "perf_event_open": 241, "name_to_handle_at": 264},
}[os.uname().machine]  # fmt: skip


def _call(name: str, *arguments: object) -> Callable[[], object]:
    return lambda: syscall(_NUMBERS[name], *arguments)


def _libc(name: str, *arguments: object) -> Callable[[], object]:
    def attempt() -> None:
        if getattr(LIBC, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    return attempt


def _connect(family: int, where: Any) -> Callable[[], object]:
    def attempt() -> None:
        with socket.socket(family, socket.SOCK_STREAM) as own:
            own.connect(where)

    return attempt


def _open(path: Any, flags: int, mode: int = 0) -> None:
    os.close(os.open(path, flags, mode))


def _send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.sendto(b"x", ("127.0.0.1", port))


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _clone() -> None:
    if syscall(_NUMBERS["clone"], ctypes.c_ulong(_SIGCHLD), None, None, None, None) == 0:
        os._exit(0)


def _attempts(given: dict[str, Any]) -> dict[str, Callable[[], object]]:
    folder, holder = Path(given["folder"]), given["holder"]
    size = ctypes.c_size_t
    return {
        "read /etc/passwd": lambda: _open("/etc/passwd", os.O_RDONLY),
        "read the key": lambda: _open(given["secret"], os.O_RDONLY),
        "read the holder's environment": lambda: _open(f"/proc/{holder}/environ", os.O_RDONLY),
        "read the holder's memory": lambda: _open(f"/proc/{holder}/mem", os.O_RDONLY),
        "list the folder": lambda: os.listdir(folder),
        "write a file": lambda: _open(folder / "new", os.O_WRONLY | os.O_CREAT, 0o600),
        "append to the key": lambda: _open(given["secret"], os.O_WRONLY | os.O_APPEND),
        "truncate the key": lambda: os.truncate(given["secret"], 0),
        "remove the key": lambda: os.unlink(given["secret"]),
        "make a folder": lambda: os.mkdir(folder / "sub"),
        "make a link": lambda: os.symlink("/etc/passwd", folder / "link"),
        "rename the key": lambda: os.rename(given["secret"], folder / "other"),
        "change the key's mode": lambda: os.chmod(given["secret"], 0o400),
        "connect to loopback": _connect(socket.AF_INET, ("127.0.0.1", given["port"])),
        "connect to an abstract socket": _connect(socket.AF_UNIX, f"\0{given['abstract']}"),
        "send a datagram": lambda: _send(given["port"]),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        "fork": _fork,
        "clone without a thread": _clone,
        "run a program": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
        "debug the holder": _libc("ptrace", _PTRACE_SEIZE, holder, None, None),
        "read the holder by process_vm_readv": _call("process_vm_readv", holder, None, size(0), None, size(0), size(0)),
        "hold the holder": _call("pidfd_open", holder, 0),
        "signal the holder": lambda: os.kill(holder, 0),
        "signal everybody": lambda: os.kill(-1, 0),
        "a new user namespace": _libc("unshare", _CLONE_NEWUSER),
        "mount": _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "io_uring": _call("io_uring_setup", 1, ctypes.create_string_buffer(256)),
        "memfd": _call("memfd_create", b"x", 0),
        "bpf": _call("bpf", 0, ctypes.create_string_buffer(128), 128),
        "keyctl": _call("keyctl", 0, -3, 0),
        "shared memory": _call("shmget", 0, size(4096), 0o1600),
        "userfaultfd": _call("userfaultfd", 0),
        "perf": _call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
        "become root": lambda: os.setuid(0),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        "take the wall of new rights down": _libc("prctl", 38, 0, 0, 0, 0),
        "allocate 2 GiB": lambda: ctypes.create_string_buffer(2 << 30),
        "start a thread": lambda: threading.Thread(target=lambda: None).start(),
    }


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as failure:
        return errno.errorcode.get(failure.errno or 0, str(failure))
    except MemoryError:
        return "ENOMEM"
    except ValueError as failure:  # what `resource` makes of EPERM
        return str(failure)
    return "DONE"


def main() -> None:
    """See the module."""
    given = json.loads(sys.argv[1])
    codecs.lookup("idna")  # what sockets load when they are first used: later no file can be read
    if given["user"] is not None:
        os.setgroups([])
        os.setresgid(given["user"], given["user"], given["user"])
        os.setresuid(given["user"], given["user"], given["user"])
    for wall in given["without"]:
        module, step = _STEPS[wall]
        setattr(module, step, lambda *_: None)
    attempts = _attempts(given)
    missing = wall_in(Path(given["program"]))
    print(json.dumps({"missing": missing, "outcomes": {name: _outcome(attempt) for name, attempt in attempts.items()}}))  # noqa: T201


if __name__ == "__main__":
    sys.stderr = sys.stdout  # the walls close the other one
    main()
