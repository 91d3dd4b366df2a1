"""The challenges that this edge was last told of, so that a GET costs no hop (rule 12). Bounded in count and bytes."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from services.executor.edge.replies import Arrived
from shared.contracts.steps import Shown, StepReplied
from shared.kernel.clock import Clock

MAX_AGE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Cached:
    reply: StepReplied
    login: str | None
    size: int
    at: float


class ReplyCache:
    """Replies by session and run. Only challenges of open runs are kept: what is over, or has not begun, is never shown from here."""

    def __init__(self, clock: Clock, entries: int, size: int) -> None:
        self._clock = clock
        self._entries = entries
        self._limit = size
        self._size = 0
        self._cached: OrderedDict[tuple[str, str], _Cached] = OrderedDict()
        self._runs: dict[str, set[str]] = {}

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
        old = self._cached.get(key)
        if old is not None and old.reply.version > reply.version:
            return None
        self._drop(key)
        self._cached[key] = _Cached(reply, login, arrived.size, self._clock.monotonic())
        self._runs.setdefault(reply.session, set()).add(reply.run)
        self._size += arrived.size
        while self._size > self._limit or len(self._cached) > self._entries:
            self._drop(next(iter(self._cached)))
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
        self._cached.move_to_end((session, shown.run))
        return reply

    def forget(self, session: str) -> None:
        """Drop all of a session."""
        for run in tuple(self._runs.get(session, ())):
            self._drop((session, run))

    def _drop(self, key: tuple[str, str]) -> None:
        gone = self._cached.pop(key, None)
        if gone is None:
            return
        self._size -= gone.size
        session, run = key
        runs = self._runs[session]
        runs.discard(run)
        if not runs:
            del self._runs[session]
