"""The challenges that this edge was last told of, so that a GET costs no hop (rule 12). Bounded in count and bytes."""

from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from services.executor.edge.replies import Arrived
from shared.contracts import wire
from shared.contracts.steps import Shown, StepReplied
from shared.kernel.clock import Clock

MAX_AGE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Cached:
    reply: StepReplied
    login: str | None
    size: int
    at: float


class _BySession(LRUCache[tuple[str, str], _Cached]):
    """By session and run, the bytes of all bounded; knows which runs of a session it holds, whatever drops them."""

    def __init__(self, size: int) -> None:
        super().__init__(size, getsizeof=lambda one: one.size)
        self.runs: dict[str, set[str]] = {}

    def __setitem__(self, key: tuple[str, str], kept: _Cached) -> None:
        super().__setitem__(key, kept)
        session, run = key
        self.runs.setdefault(session, set()).add(run)

    def __delitem__(self, key: tuple[str, str]) -> None:
        super().__delitem__(key)
        session, run = key
        self.runs[session].discard(run)
        if not self.runs[session]:
            del self.runs[session]


class ReplyCache:
    """Replies by session and run. Only challenges of open runs are kept: what is over, or has not begun, is never shown from here."""

    def __init__(self, clock: Clock, entries: int, size: int) -> None:
        self._clock = clock
        self._entries = entries
        self._cached = _BySession(size)

    def note(self, login: str | None, arrived: Arrived) -> None:
        """Keep what a reply shows, in place of anything older; drop what it ends."""
        reply = arrived.reply
        if reply.session_over or reply.logged_out:
            self.forget(reply.session)
        if reply.session_over or reply.run is None or reply.transition is None:
            return None
        key = (reply.session, reply.run)
        if reply.view is None or reply.view.kind != "challenge" or not reply.open:
            return self._drop(key)
        old = self._cached.pop(key, None)
        if old is not None and old.reply.version > reply.version:
            self._cached[key] = old
        elif (size := _size_of(arrived)) <= self._cached.maxsize:
            self._cached[key] = _Cached(reply, login, size, self._clock.monotonic())
        while len(self._cached) > self._entries:
            self._cached.popitem()
        return None

    def find(self, session: str, rotation: int, login: str | None, shown: Shown) -> StepReplied | None:
        """The current challenge of a run, unless the browser was shown something newer of it, elsewhere, or by another login."""
        found = self._cached.get((session, shown.run))
        if found is None:
            return None
        reply = found.reply
        if self._clock.monotonic() - found.at > MAX_AGE_S or found.login != login or reply.rotation != rotation:
            return None
        if reply.version < shown.version:
            return None
        return reply

    def forget(self, session: str) -> None:
        """Drop all of a session."""
        for run in tuple(self._cached.runs.get(session, ())):
            self._drop((session, run))

    def _drop(self, key: tuple[str, str]) -> None:
        self._cached.pop(key, None)


def _size_of(arrived: Arrived) -> int:
    return len(wire.pack(arrived.reply.model_dump())) if arrived.size is None else arrived.size
