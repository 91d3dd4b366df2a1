"""No file, no TCP port, no signal beyond what a worker needs to start: Landlock, which needs no privilege.

Source: landlock(7) and the kernel's include/uapi/linux/landlock.h. What a kernel can refuse is told by the number of its
interface: 1 files, 2 moving between folders, 3 truncating, 4 TCP, 5 device commands, 6 signals and abstract sockets.
"""

import ctypes
import os
from collections.abc import Iterable
from typing import Final

from services.policy.adapters.sandbox.walls.syscalls import LANDLOCK_ADD_RULE, LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, syscall

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_EXECUTE: Final = 1 << 0
_READ_FILE: Final = 1 << 2
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # the lowest bits, so many from this interface on
_TCP_BIND_CONNECT: Final = 0b11
_SCOPE_ABSTRACT_SOCKET_SIGNAL: Final = 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def interface() -> int:
    """The number of the kernel's interface; `OSError` if it has none, or if it is switched off."""
    return syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))


def keep_only(files: Iterable[int]) -> None:
    """From here on only these open files can be read or run, and nothing else be done with any; `OSError` if there is no Landlock."""
    ruleset = _ruleset(interface())
    try:
        for file in files:
            rule = _PathBeneath(_EXECUTE | _READ_FILE, file)
            syscall(LANDLOCK_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
        syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _ruleset(number: int) -> int:
    rights = _FILE_RIGHTS[min(number, max(_FILE_RIGHTS))]
    wanted = _Ruleset((1 << rights) - 1, _TCP_BIND_CONNECT if number >= 4 else 0, _SCOPE_ABSTRACT_SOCKET_SIGNAL if number >= 6 else 0)
    size = 24 if number >= 6 else 16 if number >= 4 else 8  # an older kernel refuses a field that it does not know
    return syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
