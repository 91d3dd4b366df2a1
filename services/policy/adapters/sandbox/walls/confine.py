"""All walls in their order, for a process of one thread that is about to become a worker.

The order matters: a change of user undoes the death signal, Landlock and seccomp need `no_new_privs`, Landlock more open
files than the limit leaves, and seccomp, which refuses nearly every call that the other walls need, is last.
"""

from collections.abc import Callable, Iterable
from typing import Final

from services.policy.adapters.sandbox.walls import landlock, process, seccomp

USER: Final = "another user"
NETWORK: Final = "network namespace"
FILES: Final = "landlock"
CALLS: Final = "seccomp"


def confine(files: Iterable[int]) -> dict[str, str]:
    """Give up everything but these open files; what was not to be had, by wall, with the system's reason.

    `OSError` if not even that can be had which every Linux has.
    """
    missing: dict[str, str] = {}
    process.gain_nothing()
    _try(missing, USER, process.be_nobody)
    _try(missing, NETWORK, process.leave_network)
    _try(missing, FILES, lambda: landlock.keep_only(files))
    process.limit_resources()
    process.die_with_parent()
    _try(missing, CALLS, seccomp.allow_only_what_is_needed)
    return missing


def _try(missing: dict[str, str], wall: str, step: Callable[[], None]) -> None:
    try:
        step()
    except OSError as failure:
        missing[wall] = failure.strerror or str(failure)
