"""The folded sessions of one partition: as bytes, because 10^5 live sessions do not fit as objects (architecture §10)."""

from collections import OrderedDict
from typing import Final

from services.executor.domain.session import SECOND, ends_us, new_session
from shared.contracts import wire
from shared.contracts.states import SessionState

FORGET_AFTER: Final = 600 * SECOND
"""An ended session is held so long, far beyond a step's deadline: no late step of it can start it anew."""
_DECODED: Final = 32
"""Of one partition, the newest: an object takes five times its bytes, and to decode one costs a tenth of a millisecond."""
_LIMIT: Final = 1024 * 1024


class SessionStates:
    """Sessions by id. What was used last is kept decoded as well."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._due_us: dict[str, int] = {}
        self._decoded: OrderedDict[str, SessionState] = OrderedDict()

    def get(self, session: str) -> SessionState:
        """The session as it is; a new one if it is not known."""
        held = self._decoded.get(session)
        if held is not None:
            self._decoded.move_to_end(session)
            return held
        packed = self._packed.get(session)
        if packed is None:
            return new_session(session)
        state = SessionState.model_validate(wire.unpack(packed, _LIMIT))
        self._remember(state)
        return state

    def put(self, state: SessionState) -> bytes:
        """Hold this state instead of the one before; its bytes."""
        packed = wire.pack(state.model_dump())
        self._packed[state.session] = packed
        self._due_us[state.session] = state.last_us + FORGET_AFTER if state.ended else ends_us(state)
        self._remember(state)
        return packed

    def packed(self, session: str) -> bytes:
        """The bytes of a session that is held."""
        return self._packed[session]

    def drop(self, session: str) -> None:
        """Forget a session."""
        self._packed.pop(session, None)
        self._due_us.pop(session, None)
        self._decoded.pop(session, None)

    def due(self, now_us: int) -> list[str]:
        """Ids of the sessions that are over by age, and of those that ended so long ago that they may be forgotten.

        Told from numbers alone: most sessions are not due, and opening one costs half a millisecond.
        """
        return [session for session, due_us in self._due_us.items() if due_us < now_us]

    def _remember(self, state: SessionState) -> None:
        self._decoded[state.session] = state
        self._decoded.move_to_end(state.session)
        if len(self._decoded) > _DECODED:
            self._decoded.popitem(last=False)
