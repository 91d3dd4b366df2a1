"""The folded sessions of one partition: as bytes, because 10^5 live sessions do not fit as objects (architecture §10)."""

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from cachetools import LRUCache
from pydantic import ValidationError

from services.executor.sessions.crowd import Crowd, GiveUp
from services.executor.sessions.lifetime import BEGINS_FOR, HELD_SINCE_START, SECOND, ends_us, held_until_us, is_unproven
from services.executor.sessions.ports import Unwatched, Watching
from services.executor.sessions.session import new_session
from services.executor.sessions.session import packed as packed_of
from shared.contracts import wire
from shared.contracts.errors import BadField, BadRecord
from shared.contracts.states import SessionState

logger = logging.getLogger(__name__)

SHRUNK_AFTER: Final = 60 * SECOND
"""Then nobody asks for the reply to its last step any more, and its end is all that is held of it."""
ENDED: Final = 10_000
"""So many ended sessions of a partition are held; of those before them it is remembered when the last one began."""
PEEKED: Final = {"session": str, "version": int, "ended": str, "due_us": int, "unproven": bool, "open": tuple}
"""The fields of a state that stand first."""
_DECODED: Final = 32
"""Of one partition, the newest: an object takes five times its bytes, and to decode one costs a tenth of a millisecond."""
_LIMIT: Final = 1024 * 1024


class SessionStates:
    """Sessions by id. What was used last is kept decoded as well. `crowd` is told of those in which nobody proved anything, and
    of `give_up`, which ends one of them."""

    def __init__(self, crowd: Crowd | None = None, give_up: GiveUp = lambda _: None, watch: Watching = Unwatched) -> None:
        self._crowd = crowd or Crowd()
        self._give_up = give_up
        self._watch = watch
        self._new: SessionState | None = None
        self._packed: dict[str, bytes] = {}
        self._due_us: dict[str, int] = {}
        self._decoded: LRUCache[str, SessionState] = LRUCache(_DECODED)
        self._ended: OrderedDict[str, int] = OrderedDict()  # and when they began
        self._open: dict[str, tuple[str, ...]] = {}  # flows of open runs, of sessions that have any
        self._written: dict[str, tuple[str, ...]] = {}  # by which owners
        self._lost: set[str] = set()
        self._forgotten_us = 0

    def may_begin(self, made_us: int, now_us: int) -> bool:
        """Whether a session that is not known may begin, by when its first cookie was made: it is none that was forgotten here."""
        return self._forgotten_us < made_us and now_us - made_us <= BEGINS_FOR

    def get(self, session: str) -> SessionState:
        """The session as it is; a new one if it is not known."""
        held = self._decoded.get(session)
        if held is not None:
            return held
        packed = self._packed.get(session)
        if packed is None:
            if session in self._lost:
                return _unreadable(session)
            if self._new is None or self._new.session != session:  # a step that begins one asks several times
                self._new = new_session(session)
            return self._new
        state = self._decoded[session] = self._opened(session, packed)
        return state

    def _opened(self, session: str, packed: bytes) -> SessionState:
        try:
            return SessionState.model_validate(wire.unpack(packed, _LIMIT))
        except (BadRecord, ValidationError) as bad:
            # One bad record costs itself: this session is over, its visitor begins anew.
            logger.error("a session's state cannot be read: %s", type(bad).__name__)  # noqa: TRY400 - values may be what somebody typed
            return _unreadable(session)

    @property
    def any_held(self) -> bool:
        """Whether it holds any session at all."""
        return bool(self._packed)

    def written_over(self, sessions: Iterable[str]) -> None:
        """Of these, those of which nothing is known are over: they were, or somebody says so, and must not begin a second time."""
        self._lost = {session for session in sessions if session not in self._packed}
        if self._lost:
            logger.error("somebody wrote over the states of %d sessions, which are over, or of none: %s", len(self._lost), min(self._lost))

    def load(self, session: str, owner: str, packed: bytes) -> None:
        """Hold what a former owner wrote, as it is, unless something newer is held: to open a hundred thousand of them takes longer
        than visitors wait. `BadRecord` for what is no state."""
        self.written_by(session, owner)
        known = wire.first(packed, len(PEEKED))
        if {name: type(value) for name, value in known.items()} != PEEKED or known["session"] != session:
            raise BadField("not how a state of this session begins")
        ended, due_us, unproven = known["ended"], known["due_us"], known["unproven"]
        held = self._packed.get(session)
        if held and (version := wire.first(held, len(PEEKED))["version"]) >= known["version"]:
            if version > known["version"]:
                self._watch().late_state()
            return
        self._packed[session], self._due_us[session] = packed, due_us
        self._count(session, known["open"])
        if ended:
            self._ended.setdefault(session, due_us - HELD_SINCE_START)
        elif unproven:
            self._crowd.came(session, self._give_up)

    def put(self, state: SessionState, packed: bytes) -> None:
        """Hold this state, of which these are the bytes, instead of the one before."""
        session = state.session
        self._packed[session] = packed
        self._due_us[session] = state.last_us + SHRUNK_AFTER if state.ended else ends_us(state)
        self._decoded[session] = state
        self._count(session, state.open)
        if state.ended:
            self._ended.setdefault(session, state.started_us)
        if is_unproven(state) and not state.ended:
            self._crowd.came(session, self._give_up)
        else:
            self._crowd.left(session)

    def written_by(self, session: str, owner: str) -> None:
        """Note that the log may hold a record of this session by this owner, whatever is in it."""
        owners = self._written.get(session, ())
        if owner not in owners:
            self._written[session] = (*owners, sys.intern(owner))

    def superseded(self, session: str, owner: str) -> tuple[str, ...]:
        """All other owners whose records of this session the log may hold, once one by this owner is acknowledged."""
        return tuple(one for one in self._written.get(session, ()) if one != owner)

    def removed(self, session: str, owner: str) -> None:
        """The record by this owner is gone."""
        self._written[session] = tuple(one for one in self._written.get(session, ()) if one != owner)

    def packed(self, session: str) -> bytes:
        """The bytes of a session that is held."""
        return self._packed[session]

    def look_again(self, state: SessionState) -> None:
        """It was thought to be due, and is not."""
        self._due_us[state.session] = ends_us(state)

    def let_go(self, state: SessionState, now_us: int) -> None:
        """Let go of an ended session: of what it showed, and, once it cannot begin anew, of it."""
        held_until = held_until_us(state)
        if now_us > held_until:
            return self.drop(state.session)
        if now_us > state.last_us + SHRUNK_AFTER:
            bare = SessionState(
                session=state.session, version=state.version, head=state.head, rotation=state.rotation, started_us=state.started_us,
                last_us=state.last_us, transitions=state.transitions, ended=state.ended, due_us=held_until,
            )  # fmt: skip
            self._packed[state.session] = packed_of(bare)
            self._due_us[state.session] = held_until
            self._decoded.pop(state.session, None)
        while len(self._ended) > ENDED:
            oldest, began_us = next(iter(self._ended.items()))
            self._forgotten_us = max(self._forgotten_us, began_us)
            self.drop(oldest)
        return None

    def drop(self, session: str) -> None:
        """Forget a session."""
        self._crowd.left(session)
        self._packed.pop(session, None)
        self._due_us.pop(session, None)
        self._decoded.pop(session, None)
        self._ended.pop(session, None)
        self._written.pop(session, None)
        self._count(session, ())

    def close(self) -> None:
        """They are somebody else's now."""
        for session in self._packed:
            self._crowd.left(session)
            self._count(session, ())

    def due(self, now_us: int) -> list[str]:
        """Ids of the sessions that are over by age, and of those that ended so long ago that they may be let go of.

        Told from numbers alone: most sessions are not due, and opening one costs half a millisecond.
        """
        return [session for session, due_us in self._due_us.items() if due_us < now_us]

    def _count(self, session: str, opened: tuple[str, ...]) -> None:
        """Keep the number of open runs, by flow, which tells an administrator what `end_runs` would end."""
        before = self._open.get(session, ())
        if opened == before:
            return
        for flow in before:
            self._watch().open_run(flow, -1)
        for flow in opened:
            self._watch().open_run(flow, 1)
        if opened:
            self._open[session] = opened
        else:
            self._open.pop(session, None)


def _unreadable(session: str) -> SessionState:
    return SessionState(session=session, version=1, ended="unreadable")
