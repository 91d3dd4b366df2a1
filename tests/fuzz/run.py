"""Fuzz one target for some seconds: `python -m tests.fuzz.run TARGET SECONDS SEED FOLDER`. A crasher is saved and told, and ends it."""

import hashlib
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.mutation import LONGEST, inputs

if TYPE_CHECKING:
    from tests.fuzz.target import Run, Target

try:
    import atheris
except ImportError:  # not for this machine: by chance then
    atheris = None

CRASHERS: Final = Path(__file__).parent / "crashers"
_HANG_S: Final = 120
_MEMORY_MB: Final = 2048


def saved(name: str, data: bytes) -> Path:
    """Keep an input that broke something, under its digest."""
    path = CRASHERS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def keeping(name: str, run: "Run") -> "Run":
    """The same, with whatever breaks it kept and told."""

    def one(data: bytes) -> None:
        try:
            run(data)
        except BaseException:
            sys.stderr.write(f"CRASHER {saved(name, data)}\n{traceback.format_exc()}")
            raise

    return one


def by_coverage(run: "Run", seeds: Path, seconds: int, seed: int) -> None:
    """Guided by which lines of ours an input reaches. Does not return: libFuzzer ends the process."""
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={_HANG_S}", f"-rss_limit_mb={_MEMORY_MB}"]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={seeds}/", str(seeds)], run)
    atheris.Fuzz()


def by_chance(run: "Run", seeds: list[bytes], seconds: int, seed: int) -> int:
    """How many inputs were tried within the time."""
    ends, tried = time.monotonic() + seconds, 0
    for data in inputs(seeds, seed):
        if time.monotonic() >= ends:
            break
        run(data)
        tried += 1
    return tried


def _target(name: str) -> "Target":
    if atheris is None:
        from tests.fuzz.targets import TARGETS
    else:
        with atheris.instrument_imports(include=["shared", "services"]):
            from tests.fuzz.targets import TARGETS
    return TARGETS[name]


def main(name: str, seconds: int, seed: int, corpus: Path) -> None:
    """See above; `corpus` is a folder of this run's own."""
    target = _target(name)
    with target.opened() as run:
        for number, data in enumerate(target.seeds()):
            (corpus / f"seed{number}").write_bytes(data)
            keeping(name, run)(data)
        if atheris is not None:
            by_coverage(keeping(name, run), corpus, seconds, seed)
        tried = by_chance(keeping(name, run), target.seeds(), seconds, seed)
        sys.stderr.write(f"tried {tried} inputs by chance\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
