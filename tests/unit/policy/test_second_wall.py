"""The second wall without a kernel: what the service makes of the launcher's word, and what the filter answers on both machines."""

import errno
import logging
import os
import re
import struct
import sysconfig
from pathlib import Path

import pytest

from services.policy.adapters.sandbox import second_wall
from services.policy.adapters.sandbox.second_wall import NoSandbox
from services.policy.adapters.sandbox.walls import seccomp, syscalls

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FORBIDDEN = {
    "x86_64": {"socket": 41, "connect": 42, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101, "io_uring_setup": 425, "mount": 165, "unlink": 87, "bpf": 321},
    "aarch64": {"socket": 198, "connect": 203, "execve": 221, "kill": 129, "ptrace": 117, "io_uring_setup": 425, "mount": 40, "unlinkat": 35, "bpf": 280},
}  # fmt: skip


def answered(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter says to a call: an interpreter of the six instructions that it is made of."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("IIQ6Q", number, MACHINES[machine] if audit is None else audit, 0, *given)
    code = list(struct.iter_unpack("HBBI", seccomp.filter_of(machine)))
    at, value = 0, 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (value,) = struct.unpack_from("I", data, operand)
            case 0x54:
                value &= operand
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_allows_what_it_lists_and_refuses_the_rest(machine: str) -> None:
    numbers = syscalls.NUMBERS[machine]
    assert answered(machine, numbers["read"]) == ALLOW
    assert {answered(machine, number) for number in FORBIDDEN[machine].values()} == {EPERM}
    assert answered(machine, numbers["read"], audit=0x40000003) == KILL  # i386's numbers mean other calls
    assert answered(machine, 0x40000000 + 1) == KILL
    refused = [number for number in range(600) if answered(machine, number) not in (ALLOW, ENOSYS)]
    assert len(refused) >= 600 - len(numbers)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", (0x00010000 | 0x100,), ALLOW),
        ("clone", (17,), EPERM),
        ("clone3", (0,), ENOSYS),
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (0, 0, os.O_WRONLY), EPERM),
        ("openat", (0, 0, os.O_RDWR), EPERM),
        ("openat", (0, 0, os.O_RDONLY | os.O_CREAT), EPERM),
        ("openat", (0, 0, os.O_RDONLY | os.O_TRUNC), EPERM),
        ("tgkill", (os.getpid(), 1, 6), ALLOW),
        ("tgkill", (os.getppid(), 1, 6), EPERM),
        ("tgkill", (1, 1, 9), EPERM),
        ("execveat", (seccomp.PROGRAM, 0, 0, 0, 0x1000), ALLOW),
        ("execveat", (3, 0, 0, 0, 0x1000), EPERM),
        ("execveat", (seccomp.PROGRAM, 0, 0, 0, 0), EPERM),
        ("prlimit64", (0, 3, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1, 0), EPERM),
        ("prlimit64", (0, 7, 1 << 32, 0), EPERM),
        ("prlimit64", (1, 7, 0, 0), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (22, 2), EPERM),
        ("newfstatat", (3, 0, 0, 0x1000), ALLOW),
        ("newfstatat", (3, 0, 0, 0), EPERM),
        ("fcntl", (1, 3), ALLOW),
        ("fcntl", (1, 8), EPERM),
    ],
)
def test_some_calls_depend_on_what_they_are_for(machine: str, name: str, arguments: tuple[int, ...], answer: int) -> None:
    assert answered(machine, syscalls.NUMBERS[machine][name], *arguments) == answer


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernels(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"the kernel's headers are not installed: {header}")
    kernels = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)\s", Path(header).read_text())}
    kernels.setdefault("newfstatat", kernels.get("fstatat", -1))
    assert {name: kernels.get(name) for name in syscalls.NUMBERS[machine]} == syscalls.NUMBERS[machine]


def launcher(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "sluice-sandbox"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(folder))


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ('{"landlock": "Function not implemented"}', logging.WARNING),
        ('{"seccomp": "Invalid argument", "network namespace": "x"}', logging.WARNING),
        ('{"network namespace": "Operation not permitted"}', logging.INFO),
    ],
)
def test_what_was_not_to_be_had_is_said_once_with_its_name(
    missing: str, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    launcher(tmp_path, f"echo '{missing}'", monkeypatch)
    with caplog.at_level(logging.INFO):
        assert second_wall.checked() == tmp_path / "sluice-sandbox"
    (record,) = caplog.records
    assert record.levelno == level
    assert set(record.__dict__["missing"]) == set(re.findall(r'"([^"]+)": ', missing))


def test_with_all_walls_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    launcher(tmp_path, "echo '{}'", monkeypatch)
    second_wall.checked()
    assert caplog.records == []


@pytest.mark.parametrize("script", ["exit 1", "echo broken", "echo why >&2; exit 3", "sleep 60"])
def test_a_launcher_that_does_not_work_is_no_sandbox(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_wall, "PROBE_S", 0.5)
    launcher(tmp_path, script, monkeypatch)
    with pytest.raises(NoSandbox):
        second_wall.checked()


def test_without_a_launcher_there_is_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(NoSandbox, match="sluice-sandbox"):
        second_wall.checked()
