"""The sessions of a worker in which nobody has proved anything: anybody can make them, so there is an end to them (architecture §3)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

LIMIT: Final = 20_000
GiveUp = Callable[[str], None]
"""Ends a session, behind what it is doing."""


class Crowd:
    """Which they are, of all partitions, those first that were left alone longest."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._sessions: OrderedDict[str, GiveUp] = OrderedDict()

    def came(self, session: str, give_up: GiveUp) -> None:
        """One of them took a step."""
        self._sessions[session] = give_up
        self._sessions.move_to_end(session)

    def left(self, session: str) -> None:
        """Somebody proved something in it, or it is over, or somebody else's."""
        self._sessions.pop(session, None)

    def thin_out(self) -> None:
        """Give up those above the limit."""
        while len(self._sessions) > self._limit:
            session, give_up = self._sessions.popitem(last=False)
            give_up(session)
