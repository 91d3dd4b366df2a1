"""In which partition a fresh session is placed: in any, but not where a worker has just said that nothing happens (architecture §4.15)."""

import secrets
from collections.abc import Iterator

from shared.contracts.topics import STEPS
from shared.kernel.clock import Clock
from shared.kernel.ids import partition_of
from shared.messaging.log import Log


class Placing:
    """Knows which partitions are left out, and until when."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._count = 0  # not known yet
        self._until: dict[int, float] = {}

    def leave_out(self, session: str, for_s: int) -> None:
        """No fresh session goes where this one is, for so long."""
        self._until[partition_of(session)] = self._clock.monotonic() + for_s

    async def partitions(self, drawn: int | None = None) -> Iterator[int]:
        """Where to try, one after the other: from the one that was drawn (by chance, if none was) on. Each is looked at when its turn comes;
        where all are left out, the drawn one is tried all the same."""
        if not self._count:
            self._count = await self._log.partitions(STEPS)
        return self._from(secrets.randbelow(self._count) if drawn is None else divmod(drawn, self._count)[1])

    def _from(self, start: int) -> Iterator[int]:
        numbers = [*range(start, self._count), *range(start)]
        if all(self._is_left_out(number) for number in numbers):
            yield start
        for number in numbers:
            if not self._is_left_out(number):
                yield number

    def _is_left_out(self, number: int) -> bool:
        return self._until.get(number, 0.0) > self._clock.monotonic()
