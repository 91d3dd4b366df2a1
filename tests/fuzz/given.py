"""The bytes that a fuzzer gives, read as choices: the same bytes make the same choices, whoever found them."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Given:
    """Reads one input from its front; at its end all choices are the first and all texts empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte, 0 at the end."""
        return (self.take(1) or b"\0")[0]

    def take(self, most: int) -> bytes:
        """The next bytes, fewer at the end."""
        taken = self._data[self._at : self._at + most]
        self._at += len(taken)
        return taken

    def piece(self) -> bytes:
        """A length, and as many bytes."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def pick(self, some: Sequence[T]) -> T:
        """One of these."""
        return some[self.byte() % len(some)]
