"""`sluice-sandbox`: what the pool starts instead of the interpreter. It builds the walls and becomes the interpreter.

The pool can name a program and nothing else (no argument, no environment), so this is one, installed beside `sluice`.
`sluice-sandbox probe` builds the walls, says which could not be had as JSON, and ends.
"""

import ctypes
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.policy.adapters.sandbox.walls.confine import confine
from services.policy.adapters.sandbox.walls.seccomp import PROGRAM

NAME: Final = "sluice-sandbox"
_INTERPRETER: Final = "monty"
_LIBRARIES: Final = ("libgcc_s.so.1", "libpthread.so.0", "libm.so.6", "libdl.so.2", "libc.so.6")
"""What the interpreter is linked with (`readelf -d`): nothing else will be there for it."""
_LINKER_CACHE: Final = "/etc/ld.so.cache"


def main() -> int:
    """Become the worker, or say what is missing; 1 if neither is possible."""
    try:
        program = Path(sys.argv[0]).with_name(_INTERPRETER)
        if sys.argv[1:] == ["probe"]:
            probe(program)
        else:
            become(program, [_INTERPRETER, *sys.argv[1:]])
    except OSError as failure:
        sys.stderr.write(f"{NAME}: {failure}\n")
        return 1
    return 0


def probe(program: Path) -> None:
    """Write what could not be had, by wall; `OSError` if there is no such program to become."""
    sys.stdout.write(json.dumps(wall_in(program)) + "\n")


def become(program: Path, arguments: list[str]) -> None:
    """Run this program behind all walls, with standard input and output and nothing else that is open."""
    wall_in(program)
    os.execve(PROGRAM, arguments, {})  # noqa: S606 -- a program without a shell is what is wanted


def wall_in(program: Path) -> dict[str, str]:
    """Build all walls around this process, leaving it what this program needs to start; what could not be had, by wall."""
    _close_inherited()
    _move(os.open(program, os.O_RDONLY), PROGRAM)
    _move(os.open(os.devnull, os.O_WRONLY), 2)  # who has broken out could write log lines of its own choice
    needed = [path for path in (str(program), _LINKER_CACHE, *_libraries()) if os.path.exists(path)]
    files = [os.open(path, os.O_PATH) for path in needed]  # opened here: another user may not reach them
    missing = confine(files)
    for file in files:
        os.close(file)
    return missing


def _close_inherited() -> None:
    for name in os.listdir("/proc/self/fd"):  # a range up to the limit of open files may have a billion steps
        if int(name) > 2:
            with suppress(OSError):  # the listing's own is among them
                os.close(int(name))


def _move(file: int, to: int) -> None:
    os.dup2(file, to, inheritable=to <= 2)
    os.close(file)


def _libraries() -> set[str]:
    """The files of the interpreter's libraries and of the linker that loads them, wherever this machine has them."""
    for name in _LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:  # part of another one here
            continue
    maps = Path("/proc/self/maps").read_text().splitlines()
    mapped = {fields[5] for line in maps if len(fields := line.split(maxsplit=5)) == 6 and fields[5].startswith("/")}
    wanted = {name.split(".so")[0] for name in _LIBRARIES}
    return {path for path in mapped if _stem(path) in wanted or _stem(path).startswith("ld-")}


def _stem(path: str) -> str:
    return os.path.basename(path).split(".so")[0]
