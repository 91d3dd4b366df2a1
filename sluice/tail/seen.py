"""Which records were shown already: who may write a topic can append a copy of a true record, proof and all, for some minutes."""

from typing import Final

NEWEST: Final = 250_000
"""How many ids are remembered, about 50 MB. A copy proves itself for ten minutes at most after its record (`proof.FRESH_US`, on both
sides of the signing), so this is enough for 400 records a second."""


class SeenIds:
    """The ids that were met last, up to a number of them."""

    def __init__(self, newest: int = NEWEST) -> None:
        self._newest = newest
        self._ids: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def is_repeat(self, id: str) -> bool:
        """Whether a record with this id was met before; it is from now on."""
        met = self._ids.pop(id, self) is None
        self._ids[id] = None
        if len(self._ids) > self._newest:
            del self._ids[next(iter(self._ids))]
        return met
