"""What a member holds of its group's partitions from one generation to the next, and where the records of each go on."""

from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition

from shared.messaging.log import Record


class Share:
    """Partition numbers of a member, the same of all topics of the group.

    `held`: ours, as the group has it. `ready`: those of them whose records may flow. `paused`: those that the member wants none of now.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self.held: frozenset[int] = frozenset()
        self.ready: frozenset[int] = frozenset()
        self.paused: frozenset[int] = frozenset()
        self._next: dict[TopicPartition, int] = {}
        self._member = ("", -1)
        self._turns: dict[int, int] = {}

    def shared_anew(self, numbers: frozenset[int], member: str, generation: int) -> tuple[frozenset[int], frozenset[int]]:
        """What the group gave this member in this generation: what of it is kept, and what is new.

        Kept is what was held in the generation just before by the same member: nobody else can have had it. A member that missed a
        generation was forgotten, or others were given its share and lost it again.
        """
        goes_on = self._member == (member, generation - 1)
        kept = numbers & self.held if goes_on else frozenset()
        self._member = member, generation
        self.held, self.ready, self.paused = numbers, self.ready & kept, self.paused & kept
        self._next = {place: offset for place, offset in self._next.items() if place.partition in kept}
        for number in numbers - kept:
            self._turns[number] = generation
        return kept, numbers - kept

    def prepared(self, numbers: frozenset[int], generation: int) -> frozenset[int]:
        """Those of the numbers that were new in this generation, are prepared, and still held since then; their records may flow."""
        done = frozenset(number for number in numbers & self.held if self._turns[number] == generation)
        self.ready |= done
        return done

    def let_go(self) -> None:
        """Hold nothing any more."""
        self.held = self.ready = self.paused = frozenset()
        self._next.clear()

    def handed_out(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """These records were given to the member."""
        self._next |= {place: batch[-1].offset + 1 for place, batch in fetched.items()}

    def positions(self) -> Mapping[TopicPartition, int]:
        """Where what is ready goes on; nothing is said of a partition of which nothing was handed out."""
        return {place: offset for place, offset in self._next.items() if place.partition in self.ready}

    def places(self, numbers: Iterable[int]) -> list[TopicPartition]:
        """These numbers of all topics."""
        return [TopicPartition(topic, number) for topic in sorted(self.topics) for number in numbers]
