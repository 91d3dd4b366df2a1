"""Only the system calls that a worker makes: no socket, process, debugger, signal to others, file to be written.

A list of what is allowed, so that a call of tomorrow's kernel is refused too. What is not on it fails with EPERM
instead of ending the worker: a new libc then loses a convenience, not the log-ins.
Sources: seccomp(2); linux/filter.h and linux/audit.h of the kernel; which calls a worker makes was read off strace(1).
"""

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple

from services.policy.adapters.sandbox.walls.syscalls import LIBC, NUMBERS, checked

PROGRAM: Final = 9
"""The descriptor of the program to become: above the limit of open files, so that there never is another one of this number."""

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, |JGE|K, BPF_ALU|AND|K, BPF_RET|K
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_FAIL: Final = 0x00050000
_MACHINES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_X32: Final = 0x40000000  # numbers of the other interface of x86_64 begin here
_CLONE_THREAD: Final = 0x00010000
_AT_EMPTY_PATH: Final = 0x1000
_PR_SET_NAME: Final = 15
_WRITING: Final = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_FREELY: Final = (
    *("read", "write", "futex", "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "getrandom", "clock_gettime", "clock_getres"),
    *("clock_nanosleep", "nanosleep", "poll", "ppoll", "readv", "writev", "close", "fstat", "lseek", "pread64", "gettid", "getpid"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "sched_yield", "sched_getaffinity", "set_tid_address"),
    *("set_robust_list", "rseq", "membarrier", "arch_prctl", "restart_syscall", "exit", "exit_group"),
)


class _Condition(NamedTuple):
    """Allowed if the lower half of this argument (or the upper one), with this mask, is this value."""

    argument: int
    mask: int
    value: int
    upper: bool = False


class UnknownMachine(OSError):
    """We do not know its numbers."""


def _conditions() -> dict[str, tuple[_Condition, ...]]:
    reading = (0xFFFFFFFF & _WRITING, os.O_RDONLY)
    return {
        "openat": (_Condition(2, *reading),),
        "open": (_Condition(1, *reading),),
        "newfstatat": (_Condition(3, _AT_EMPTY_PATH, _AT_EMPTY_PATH),),  # of an open file: libc's fstat
        "clone": (_Condition(0, _CLONE_THREAD, _CLONE_THREAD),),
        "tgkill": (_Condition(0, 0xFFFFFFFF, os.getpid()),),  # abort(3)
        "prctl": (_Condition(0, 0xFFFFFFFF, _PR_SET_NAME),),
        "prlimit64": (_Condition(0, 0xFFFFFFFF, 0), *_null(2)),  # its own, to read
        "fcntl": (_Condition(1, 0xFFFFFFFC, 0),),  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL
        "execveat": (_Condition(0, 0xFFFFFFFF, PROGRAM), _Condition(4, _AT_EMPTY_PATH, _AT_EMPTY_PATH)),
    }


def _null(argument: int) -> tuple[_Condition, ...]:
    return (_Condition(argument, 0xFFFFFFFF, 0), _Condition(argument, 0xFFFFFFFF, 0, upper=True))


def allow_only_what_is_needed() -> None:
    """From here on, for good; `OSError` where the kernel has no filters or the machine is unknown to us."""
    machine = os.uname().machine
    if machine not in NUMBERS:
        raise UnknownMachine(errno.ENOSYS, f"the numbers of {machine} are not known")
    program = filter_of(machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    checked(LIBC.prctl(ctypes.c_int(_PR_SET_SECCOMP), ctypes.c_ulong(_MODE_FILTER), header, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def filter_of(machine: str) -> bytes:
    """The filter as the kernel takes it: 8 bytes an instruction."""
    numbers = NUMBERS[machine]
    code = [_load(_MACHINE_AT), _op(_EQUAL, _MACHINES[machine], 1, 0), _op(_RETURN, _KILL), _load(_NUMBER_AT)]
    code += [_op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _KILL)]
    for name in _FREELY:
        if name in numbers:
            code += [_op(_EQUAL, numbers[name], 0, 1), _op(_RETURN, _ALLOW)]
    for name, conditions in _conditions().items():
        if name in numbers:
            code += _if_all(numbers[name], conditions)
    # libc falls back to clone, whose flags can be seen here, only if it is told that there is no clone3
    code += [_op(_EQUAL, numbers["clone3"], 0, 1), _op(_RETURN, _FAIL | errno.ENOSYS), _op(_RETURN, _FAIL | errno.EPERM)]
    return b"".join(code)


def _if_all(number: int, conditions: tuple[_Condition, ...]) -> list[bytes]:
    tests: list[bytes] = []
    for condition in conditions:
        tests += [_load(_ARGUMENTS_AT + 8 * condition.argument + 4 * condition.upper), _op(_AND, condition.mask)]
        tests += [_op(_EQUAL, condition.value & condition.mask, 1, 0), _op(_RETURN, _FAIL | errno.EPERM)]
    body = [*tests, _op(_RETURN, _ALLOW)]
    return [_op(_EQUAL, number, 0, len(body)), *body]


def _load(offset: int) -> bytes:
    return _op(_LOAD, offset)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
