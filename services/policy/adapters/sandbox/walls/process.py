"""What a process gives up by prctl(2), setrlimit(2), setresuid(2) and unshare(2).

Sources: prctl(2) and its pages, capabilities(7), getrlimit(2), user_namespaces(7), network_namespaces(7).
"""

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Final

from services.policy.adapters.sandbox.walls.syscalls import LIBC, checked

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CAPABILITIES: Final = 1 << 5 | 1 << 6 | 1 << 7  # CAP_KILL, CAP_SETGID, CAP_SETUID
_NOBODY: Final = 65534  # the kernel's overflow user: it owns no file

ADDRESS_SPACE: Final = 768 * 1024 * 1024
"""Bytes of addresses: three times the largest memory limit that can be set, as libc reserves more than it uses."""
CPU_S: Final = 600
"""Of a worker's whole life: the limits of the single evaluations are the interpreter's and the pool's."""
OPEN_FILES: Final = 8
THREADS: Final = 4


def keep_others_out() -> None:
    """No core file of this process, and no debugger for its user's other processes: it holds keys."""
    _prctl(_PR_SET_DUMPABLE, 0)


def gain_nothing() -> None:
    """No program that this process becomes has more rights than it, whatever its file says; the other walls need it."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """SIGKILL when the thread that started this process ends; the last step, as changes of user undo it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def be_nobody() -> None:
    """Root alone: another user without groups. `OSError` if it may not, or could then not be killed by who started it."""
    if os.geteuid() != 0:
        return
    if _effective_capabilities() & _CAPABILITIES != _CAPABILITIES:
        raise PermissionError(1, "root without the capabilities KILL, SETGID and SETUID stays root")
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def leave_network() -> None:
    """A user and a network namespace of its own, with not even a loopback that is up; and few threads there."""
    checked(LIBC.unshare(ctypes.c_int(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC)))
    _limit(resource.RLIMIT_NPROC, THREADS)  # counted within the namespace; outside, the whole user's would count


def limit_resources() -> None:
    """No file longer than it is, no core, few files, bounded addresses and CPU."""
    _limit(resource.RLIMIT_AS, ADDRESS_SPACE)
    _limit(resource.RLIMIT_CPU, CPU_S)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    for none in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        _limit(none, 0)


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (bound, bound))


def _effective_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def _prctl(option: int, value: int) -> None:
    checked(LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))
