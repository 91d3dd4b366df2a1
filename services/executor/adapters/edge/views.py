"""The challenges that this edge was last told of, so that a GET costs no hop (rule 12). Bounded in count and bytes."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from services.executor.adapters.edge.replies import Arrived
from shared.contracts.steps import Shown, StepReplied
from shared.kernel.clock import Clock

MAX_AGE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Cached:
    reply: StepReplied
    login: str | None
    size: int
    at: float


class Views:
    """Replies by session and flow. Only challenges of open runs are kept: what is over is never shown from here."""

    def __init__(self, clock: Clock, entries: int, size: int) -> None:
        self._clock = clock
        self._entries = entries
        self._limit = size
        self._size = 0
        self._cached: OrderedDict[tuple[str, str], _Cached] = OrderedDict()
        self._flows: dict[str, set[str]] = {}

    def note(self, flow: str, login: str | None, arrived: Arrived) -> None:
        """Keep what a reply shows, in place of anything older; drop what it ends."""
        reply = arrived.reply
        if reply.session_over or reply.logged_out:
            self.forget(reply.session)
        if reply.session_over:
            return None
        key = (reply.session, flow)
        if reply.view is None or reply.view.kind != "challenge" or not reply.open:
            return self._drop(key)
        old = self._cached.get(key)
        if old is not None and old.reply.run == reply.run and old.reply.version > reply.version:
            return None
        self._drop(key)
        self._cached[key] = _Cached(reply, login, arrived.size, self._clock.monotonic())
        self._flows.setdefault(reply.session, set()).add(flow)
        self._size += arrived.size
        while self._size > self._limit or len(self._cached) > self._entries:
            self._drop(next(iter(self._cached)))
        return None

    def find(self, session: str, rotation: int, flow: str, login: str | None, shown: Shown | None) -> StepReplied | None:
        """The current challenge, unless the browser was shown something newer, elsewhere, or by another login."""
        found = self._cached.get((session, flow))
        if found is None or shown is None:
            return None
        reply = found.reply
        if self._clock.monotonic() - found.at > MAX_AGE_S or found.login != login or reply.rotation != rotation:
            return None
        if reply.run != shown.run or reply.version < shown.version:
            return None
        self._cached.move_to_end((session, flow))
        return reply

    def forget(self, session: str) -> None:
        """Drop all of a session."""
        for flow in tuple(self._flows.get(session, ())):
            self._drop((session, flow))

    def _drop(self, key: tuple[str, str]) -> None:
        gone = self._cached.pop(key, None)
        if gone is None:
            return
        self._size -= gone.size
        session, flow = key
        flows = self._flows[session]
        flows.discard(flow)
        if not flows:
            del self._flows[session]
