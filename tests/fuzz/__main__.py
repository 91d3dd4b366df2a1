"""`make fuzz SECONDS=60`: every target at once, each in a process of its own, that long. Fails when one broke a rule."""

import argparse
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

GRACE_S = 300
"""For starting and for an input that is being tried at the end: then something hangs."""


def started(name: str, seconds: int, seed: int, folder: Path) -> subprocess.Popen[bytes]:
    """One target's process; what it says goes into a file."""
    corpus = folder / name
    corpus.mkdir()
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.fuzz.run", name, str(seconds), str(seed), str(corpus)]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def outcome(process: subprocess.Popen[bytes], seconds: int) -> str:
    """ "" for one that found nothing."""
    try:
        code = process.wait(seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "hangs"
    return "" if code == 0 else f"ended with {code}"


def main() -> int:
    """Run all, and say what came of each."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--seed", type=int, default=1 + secrets.randbelow(2**31 - 1), help="the one that an earlier run printed")
    options.add_argument("targets", nargs="*", default=sorted(TARGETS), help=", ".join(sorted(TARGETS)))
    asked = options.parse_args()
    sys.stdout.write(f"fuzzing {', '.join(asked.targets)} for {asked.seconds} s with --seed {asked.seed}\n")
    sys.stdout.flush()
    failed = False
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as folder:
        running = {name: started(name, asked.seconds, asked.seed, Path(folder)) for name in asked.targets}
        for name, process in running.items():
            wrong = outcome(process, asked.seconds)
            said = (Path(folder) / f"{name}.log").read_text(errors="replace").splitlines()
            failed = failed or bool(wrong)
            figures = [line for line in said if "number_of_executed_units" in line or line.startswith("tried")]
            sys.stdout.write(f"{name}: {wrong or 'nothing found'}; {(figures or ['?'])[-1]}\n")
            sys.stdout.write("".join(f"    {line}\n" for line in said[-80:]) if wrong else "")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
