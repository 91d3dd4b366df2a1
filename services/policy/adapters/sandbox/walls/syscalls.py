"""System calls by number, for the machines that we know; glibc has no functions for most of those that we need.

Sources: syscalls(2); the kernel's arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h, which
is aarch64's. Numbers of new calls (424 and above) are the same on all machines.
"""

import ctypes
import os
from typing import Final

LANDLOCK_CREATE_RULESET: Final = 444
LANDLOCK_ADD_RULE: Final = 445
LANDLOCK_RESTRICT_SELF: Final = 446
CLONE3: Final = 435

_X86_64: Final = {
    "read": 0,
    "write": 1,
    "open": 2,
    "close": 3,
    "fstat": 5,
    "poll": 7,
    "lseek": 8,
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "brk": 12,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "pread64": 17,
    "readv": 19,
    "writev": 20,
    "sched_yield": 24,
    "mremap": 25,
    "madvise": 28,
    "nanosleep": 35,
    "getpid": 39,
    "clone": 56,
    "exit": 60,
    "fcntl": 72,
    "sigaltstack": 131,
    "prctl": 157,
    "arch_prctl": 158,
    "gettid": 186,
    "futex": 202,
    "sched_getaffinity": 204,
    "set_tid_address": 218,
    "restart_syscall": 219,
    "clock_gettime": 228,
    "clock_getres": 229,
    "clock_nanosleep": 230,
    "exit_group": 231,
    "tgkill": 234,
    "openat": 257,
    "newfstatat": 262,
    "ppoll": 271,
    "set_robust_list": 273,
    "prlimit64": 302,
    "getrandom": 318,
    "execveat": 322,
    "membarrier": 324,
    "rseq": 334,
    "clone3": CLONE3,
}
_AARCH64: Final = {
    "fcntl": 25,
    "openat": 56,
    "close": 57,
    "lseek": 62,
    "read": 63,
    "write": 64,
    "readv": 65,
    "writev": 66,
    "pread64": 67,
    "ppoll": 73,
    "newfstatat": 79,
    "fstat": 80,
    "exit": 93,
    "exit_group": 94,
    "set_tid_address": 96,
    "futex": 98,
    "set_robust_list": 99,
    "nanosleep": 101,
    "clock_gettime": 113,
    "clock_getres": 114,
    "clock_nanosleep": 115,
    "sched_getaffinity": 123,
    "sched_yield": 124,
    "restart_syscall": 128,
    "tgkill": 131,
    "sigaltstack": 132,
    "rt_sigaction": 134,
    "rt_sigprocmask": 135,
    "rt_sigreturn": 139,
    "prctl": 167,
    "getpid": 172,
    "gettid": 178,
    "brk": 214,
    "munmap": 215,
    "mremap": 216,
    "clone": 220,
    "mmap": 222,
    "mprotect": 226,
    "madvise": 233,
    "prlimit64": 261,
    "getrandom": 278,
    "execveat": 281,
    "membarrier": 283,
    "rseq": 293,
    "clone3": CLONE3,
}
NUMBERS: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
"""By machine as uname(2) names it, then by name; a call that a machine does not have is not there."""

LIBC: Final = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """What the call returned; `OSError` if it failed."""
    return checked(LIBC.syscall(ctypes.c_long(number), *arguments))


def checked(returned: int) -> int:
    """The value, if it is none of failure; `OSError` with the reason that libc kept if it is."""
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return returned
