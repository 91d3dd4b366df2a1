"""Record golden histories: those that are not there, those that are named anew.

python -m tests.contract.histories                 # what has no file yet
python -m tests.contract.histories --replace NAME  # anew, before a release: `all` for all
"""

import argparse
import asyncio
import sys

from tests.contract.histories import golden
from tests.contract.histories.recording import recorded
from tests.contract.histories.scenarios import SCENARIOS


def main() -> int:
    """Record and save; what a history tells is printed, to be read before it is checked in."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.histories", description=__doc__)
    parser.add_argument("--replace", nargs="+", default=[], metavar="NAME", help="record these anew, though they are there; `all` for all")
    replaced = parser.parse_args().replace
    for name in SCENARIOS:
        if name not in golden.names() or name in replaced or "all" in replaced:
            golden.save(name, asyncio.run(recorded(name)))
            sys.stdout.write(f"== {name}\n{(golden.FOLDER / f'{name}.txt').read_text()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
