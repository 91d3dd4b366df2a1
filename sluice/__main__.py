"""`sluice` and `python -m sluice`: runs a command; an error of ours is one line on standard error, not a traceback."""

import sys

from shared.kernel.errors import SluiceError, told
from sluice.cli import REFUSED, app
from sluice.console import say_lines


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        app(prog_name="sluice")
    except SluiceError as error:
        say_lines(told(error), err=True)
        sys.exit(REFUSED if error.code == "E_SETTINGS" else 1)


if __name__ == "__main__":
    main()
