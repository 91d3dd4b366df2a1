"""Questions that wait for a reply on another topic: a reply counts only while its question is open, and once."""

import asyncio
from collections import Counter
from typing import Final, Generic, Literal, TypeVar

from shared.kernel.errors import Unavailable

T = TypeVar("T")

LIMIT: Final = 10_000

Refusal = Literal["late", "foreign"]


class NoReply(Unavailable):
    """Whoever was asked did not reply in time."""

    code = "E_NO_REPLY"


class TooMany(Unavailable):
    """More questions are open than we are ready to hold."""

    code = "E_TOO_MANY_QUESTIONS"


class OpenQuestions(Generic[T]):
    """The open questions of one asker, by id and digest of their input (architecture §4.7).

    `refused` counts replies that met no open question ("late": answered already, given up, of an earlier life) or
    another one's input ("foreign").
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._open: dict[str, tuple[str, asyncio.Future[T]]] = {}
        self.refused: Counter[Refusal] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, question: str, digest: str) -> asyncio.Future[T]:
        """Open a question; await the future, or better `reply`, and cancel it when the reply is not wanted any more.

        Asked again under the same id, the earlier asker gets `NoReply`. `TooMany` when too many are open.
        """
        earlier = self._open.pop(question, None)
        if earlier is not None and not earlier[1].done():
            earlier[1].set_exception(NoReply("asked again"))
        if len(self._open) >= self._limit:
            raise TooMany
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._open[question] = (digest, future)
        future.add_done_callback(lambda done: self._forget(question, done))
        return future

    def awaits(self, question: str) -> bool:
        """Whether a reply to this question would be taken: told by a header, before anything of the reply is looked at."""
        return question in self._open

    def settle(self, question: str, digest: str, value: T) -> bool:
        """Give a reply to its question; False if it is refused."""
        found = self._open.get(question)
        if found is None or found[1].done():
            self.refused["late"] += 1
            return False
        if found[0] != digest:
            self.refused["foreign"] += 1
            return False
        found[1].set_result(value)
        del self._open[question]
        return True

    async def reply(self, future: asyncio.Future[T], timeout_s: float) -> T:
        """The reply to an open question; `NoReply` after so many seconds, and the question is closed."""
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise NoReply from error

    def _forget(self, question: str, future: asyncio.Future[T]) -> None:
        found = self._open.get(question)
        if found is not None and found[1] is future:
            del self._open[question]
        if not future.cancelled():
            future.exception()  # an asker that went away has nobody to tell
