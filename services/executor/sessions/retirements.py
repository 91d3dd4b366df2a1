"""Which versions of flows are retired, as the catalog's pointers tell it: their runs end at their next step (architecture §4.11)."""

from typing import Final

from shared.contracts.definitions import CODEC, ObjectRemoved, PointerMoved
from shared.contracts.topics import DEFINITIONS
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Followed, Projection

_FLOWS: Final = b"pointer/flow/"


class DefinitionsUnread(Unavailable):
    """The catalog's definitions have not been read to their end yet."""

    code = "E_DEFINITIONS_UNREAD"


class Retirements(Followed):
    """See `services.executor.sessions.ports.Retirements`. Reads flows' pointers, and of them two numbers each."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._flows: dict[str, tuple[int, int | None]] = {}  # version of the pointer, first version that is not retired (None: gone)
        super().__init__(Projection(log, DEFINITIONS, self._apply, dead_letters, clock))

    def is_retired(self, flow: str, version: int) -> bool:
        """See the port. A flow that was never heard of is new to us: its planner is ahead."""
        if not self.ready:
            raise DefinitionsUnread
        known = self._flows.get(flow)
        if known is None:
            return False
        return known[1] is None or version < known[1]

    def _apply(self, record: Record) -> None:
        key = record.key or b""
        if not key.startswith(_FLOWS):
            return
        if record.value is None:  # its tombstone comes longer after its removal than any run lasts
            self._flows.pop(key.removeprefix(_FLOWS).decode(errors="replace"), None)
            return
        body = CODEC.decode(record).body
        if not isinstance(body, PointerMoved | ObjectRemoved) or body.version <= self._flows.get(body.pk, (-1, 0))[0]:
            return
        self._flows[body.pk] = (body.version, body.runs_from if isinstance(body, PointerMoved) else None)
