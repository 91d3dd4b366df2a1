"""What the owners of a worker's partitions work with, given once."""

from collections.abc import Callable
from dataclasses import dataclass

from services.executor.common.ports import Directory, SealOpener, SetAside
from services.executor.sessions.crowd import Crowd
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.ports import AtHome, Planner, Watching
from services.executor.sessions.starts import Starts
from shared.kernel.clock import Clock
from shared.messaging.log import Log


@dataclass(frozen=True, slots=True)
class Parts:
    """What an owner works with; it writes through `ownership` alone. Who asks for a session in a partition that is set aside gets none there
    for `elsewhere_s`. `failed` is told why a partition cannot go on."""

    log: Log
    directory: Directory
    opener: SealOpener
    cursor: Cursor
    planner: Planner
    clock: Clock
    secret_key: bytes
    starts: Starts
    crowd: Crowd
    set_aside: SetAside
    elsewhere_s: int
    watch: Watching
    ownership: Ownership
    at_home: AtHome
    failed: Callable[[int, Exception], None]
