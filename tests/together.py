"""Which tests share a process when several run them: those of one file, and those that share what is slow to start.

The longest come first, or one process is still at it when the others have nothing left.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

SHARING: Final = ("tests/e2e/cluster", "tests/e2e/browser", "tests/integration/kafka_security", "tests/e2e/fronts", "tests/e2e/corpus")
"""Folders with one browser, one front or one broker for all that is in them; most time first."""


def group_of(test: str) -> str:
    """The folder or the file of a test's id."""
    file = test.partition("::")[0]
    return next((folder for folder in SHARING if file.startswith(f"{folder}/")), file)


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Gives out whole groups. (pytest-xdist's own `loadgroup` loses its groups with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
