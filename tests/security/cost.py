"""What reading bytes costs, without a clock: lines run and functions called per byte, and an end within a budget of CPU.

Lines say what our own loops do. What C code does in one call no tracer sees, so the same readers also run in a process of
their own on inputs 64 times as large as any limit lets in: linear reading ends at once there, quadratic reading would take
hours and is killed by `RLIMIT_CPU`. Patterns are proved linear by `tests/security/patterns.py`.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from types import FrameType
from typing import Any, Final, Self

KIB: Final = 1024
HUGE: Final = 4096 * KIB
CPU_S: Final = 60
"""What all cases of one call of `unfinished` may take together; they take about a second. Not a duration that is measured."""


_DEFECTS: Final = (TypeError, AttributeError, NameError, LookupError, AssertionError, RuntimeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Case:
    """A reader (`module:function`) and a hostile text: one start, a unit over and over, one end. `text`: it takes str."""

    name: str
    reader: str
    unit: str
    start: str = ""
    end: str = ""
    text: bool = False

    def payload(self, size: int) -> Any:
        """The text, about `size` long."""
        whole = self.start + self.unit * max(1, (size - len(self.start) - len(self.end)) // len(self.unit)) + self.end
        return whole if self.text else whole.encode("latin-1")

    def run(self, size: int) -> None:
        """Have it read; what it thinks of it does not matter here."""
        reader = _reader(self.reader)
        payload = self.payload(size)
        try:
            reader(payload)
        except Exception as refused:
            # A reader may refuse in its own words, and in those of the library that its caller catches. Those of a defect are neither.
            if isinstance(refused, _DEFECTS):
                raise


class Steps:
    """Counts, while it is entered, the lines of Python that run in this thread and the functions of C that are called."""

    def __init__(self) -> None:
        self.count = 0

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        self.count += event == "line"
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        self.count += event == "c_call"

    def __enter__(self) -> Self:
        self._before = sys.gettrace(), sys.getprofile()
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before[0])
        sys.setprofile(self._before[1])


def steps(run: Callable[[], object]) -> int:
    """What running this takes."""
    with Steps() as counted:
        run()
    return counted.count


def per_byte(case: Case, size: int) -> float:
    """Steps per byte of this case at this size; read once before, so that nothing is counted that is only done once."""
    case.run(size)
    return steps(lambda: case.run(size)) / size


def unfinished(cases: list[Case], size: int = HUGE, cpu_s: int = CPU_S) -> str:
    """The case that did not come to its end within the budget, "" if all did."""
    sent = json.dumps([asdict(case) for case in cases])
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.cost", str(size), str(cpu_s)], input=sent, capture_output=True, text=True, check=False
    )
    ended = done.stdout.split("\n")[:-1]
    left = [case.name for case in cases if case.name not in ended]
    return f"{left[0]}: {done.stderr[-2000:]}" if left else ""


def _reader(name: str) -> Callable[[Any], object]:
    module, _, function = name.partition(":")
    found: Callable[[Any], object] = getattr(import_module(module), function)
    return found


def _main() -> None:
    size, cpu_s = (int(one) for one in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    for raw in json.loads(sys.stdin.read()):
        case = Case(**raw)
        case.run(size)
        sys.stdout.write(f"{case.name}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
