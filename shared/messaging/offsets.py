"""How far a partition is handled when its records are handled out of order: the mark that may be committed."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.messaging.log import Record, TopicPartition


class Committing(Protocol):
    """Who is told: `log.Membership`."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...  # noqa: D102


@dataclass(slots=True)
class _Place:
    begun: deque[int] = field(default_factory=deque)
    undone: set[int] = field(default_factory=set)
    mark: int = 0
    committed: int = 0
    seen: int = 0


class LowWater:
    """Records begun in order and done in any; everything before the mark is done. Where a log has lost its tail, offsets begin again
    below what was seen, and so does the mark.

    A record whose offset was never begun here, or that was forgotten with its partition, is ignored by `done`: tasks
    may outlive the assignment that they were started in.
    """

    def __init__(self) -> None:
        self._places: dict[TopicPartition, _Place] = {}

    def begin(self, record: Record) -> None:
        """Take note of a record in the order of its partition, before it is handed over."""
        place = self._places.get(record.place)
        if place is None or record.offset < place.seen:
            # Read anew, from where the log still has it: what was begun before is begun again, or is gone.
            place = self._places[record.place] = _Place(mark=record.offset, committed=record.offset)
        if not place.begun:
            place.mark = record.offset
        place.begun.append(record.offset)
        place.undone.add(record.offset)
        place.seen = record.offset + 1

    def done(self, record: Record) -> None:
        """All that the record led to is in the log."""
        place = self._places.get(record.place)
        if place is None or record.offset not in place.undone:
            return
        place.undone.discard(record.offset)
        while place.begun and place.begun[0] not in place.undone:
            offset = place.begun.popleft()
            place.mark = place.begun[0] if place.begun else offset + 1

    def mark(self, place: TopicPartition) -> int | None:
        """The offset that may be committed; None if nothing was begun."""
        found = self._places.get(place)
        return None if found is None else found.mark

    async def commit(self, membership: Committing) -> None:
        """Have the group note the marks that have moved; one that it did not acknowledge is told again with the next call."""
        moved = {where: (place, place.mark) for where, place in self._places.items() if place.mark > place.committed}
        if not moved:
            return
        await membership.commit({where: mark for where, (_, mark) in moved.items()})
        for place, mark in moved.values():
            place.committed = max(place.committed, mark)

    def forget_place(self, place: TopicPartition) -> None:
        """Drop what is held of one partition of one topic."""
        self._places.pop(place, None)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop what is held of these partition numbers: they are revoked."""
        gone = frozenset(partitions)
        self._places = {where: place for where, place in self._places.items() if where.partition not in gone}
