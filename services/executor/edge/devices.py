"""The cookie `sluice_device`: which log-ins were made in this browser before, so that guesses from elsewhere leave it its own.

It proves nothing and lets in nobody: it names a login of each of the last few users, and a browser that names a login of an
account has slots of its own for guesses at that account (`services.executor.rules.guess_limits`). Sealed: nobody reads from it who
logged in here, and nobody makes one. A login is forgotten a month after it ended, and the slots with it.
"""

from collections.abc import Iterable
from typing import Any, Final

from services.executor.edge.text import raw_of, text_of
from shared.contracts import wire
from shared.contracts.errors import BadRecord
from shared.contracts.people import LoginClaims
from shared.contracts.steps import MAX_DEVICES
from shared.web.keyring import KeyRing

NAME: Final = "sluice_device"
AGE_S: Final = 60 * 86_400
"""A login lasts thirty days at most and is kept thirty more."""
_MAX: Final = 1000

Devices = tuple[tuple[int, str], ...]
"""A user's number and the newest of their logins here; who logged in last comes first."""


class DeviceCookies:
    """Reads and makes the values."""

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._ring = KeyRing(secrets, "cookie/device/1")

    def read(self, values: Iterable[str]) -> Devices:
        """What these values name; those that we did not make name nobody."""
        found = (entry for value in values for entry in self._opened(value))
        return tuple({user: (user, login) for user, login in reversed(tuple(found))}.values())[::-1][:MAX_DEVICES]

    def value(self, before: Devices, login: LoginClaims) -> str:
        """The value after this log-in."""
        others = [entry for entry in before if entry[0] != login.user]
        return text_of(self._ring.sealed(wire.pack([(login.user, login.login), *others][:MAX_DEVICES])))

    def _opened(self, value: str) -> Devices:
        raw = raw_of(value, _MAX)
        opened = None if raw is None else self._ring.opened(raw)
        if opened is None:
            return ()
        try:
            entries: Any = wire.unpack(opened, _MAX)
        except BadRecord:
            return ()  # of another release
        return entries if isinstance(entries, tuple) and all(_is_entry(entry) for entry in entries) else ()


def _is_entry(entry: Any) -> bool:
    match entry:
        case (int(), str()):
            return True
        case _:
            return False
