"""The cookies of a browser (architecture §3): what is in them, who may have made them, how they are set.

`authentik_session`: session, rotation and, for somebody logged in, the login's claims. `sluice_step`: the transition
of a run that was last shown on this path. `sluice_command`: a command whose answer the browser has not had yet.
All carry a proof by the key ring, each under its own key, so none can stand in for another.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from services.executor.adapters.edge.settings import EdgeSettings
from shared.contracts import wire
from shared.contracts.errors import BadRecord
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Shown
from shared.kernel.ids import partition_of
from shared.web import cookie_header
from shared.web.client import Client
from shared.web.errors import Refusal
from shared.web.keyring import MAC_BYTES, KeyRing

STEP: Final = "sluice_step"
COMMAND: Final = "sluice_command"
COMMAND_AGE_S: Final = 30
CSRF_AGE_S: Final = 31_449_600
_MAX_VALUE: Final = 3000


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A session cookie that we made. `value` is what the browser sent, to be sent back unchanged."""

    session: str
    rotation: int
    login: LoginClaims | None
    value: str


@dataclass(frozen=True, slots=True)
class Jar:
    """What a browser sent of our cookies; None for what it did not send, or what we did not make."""

    session: SessionCookie | None
    step: str | None
    csrf: str | None
    command: str | None


class _NotOurs(Exception):
    """A session cookie that we did not make, or cannot read; raised, because a cache keeps what is returned."""


class Cookies:
    """Reads, makes and proves the cookies of one deployment."""

    def __init__(self, settings: EdgeSettings) -> None:
        prefix = "__Host-" if settings.host_cookies else ""
        self.session_name = f"{prefix}authentik_session"
        self.csrf_name = f"{prefix}authentik_csrf"
        self._always_secure = settings.host_cookies
        self._same_site = settings.same_site
        self._sessions = KeyRing(settings.secrets, "cookie/session/1")
        self._steps = KeyRing(settings.secrets, "cookie/step/1")
        self._commands = KeyRing(settings.secrets, "cookie/command/1")
        # Gateways ask for the same logins all the time, and the same value has the same meaning. Only what we made is kept: of
        # what others make up there is no end, and each would be held with all its kilobytes.
        self._known = lru_cache(maxsize=settings.checked_logins)(self._open)

    def read(self, request: web.Request, client: Client, path: str) -> Jar:
        """The cookies of a request. Two of one name are refused and both are cleared; broken ones count as none."""
        names = (self.session_name, self.csrf_name, STEP, COMMAND)
        try:
            found = cookie_header.read(request.raw_headers, names)
        except cookie_header.DoubledCookie as doubled:
            own_path = path if doubled.name in (STEP, COMMAND) else "/"
            cleared = tuple(self._line(client, doubled.name, "", path=p, max_age=0) for p in dict.fromkeys((own_path, "/")))
            raise Refusal(400, doubled.code, cookies=cleared) from None
        except cookie_header.BadCookie as bad:
            raise Refusal(400, bad.code) from None
        except (cookie_header.TooManyCookies, cookie_header.CookieTooLarge) as many:
            raise Refusal(431, many.code) from None
        return Jar(self._opened(found.get(self.session_name, "")), found.get(STEP), found.get(self.csrf_name), found.get(COMMAND))

    def session(self, session: str, rotation: int, login: LoginClaims | None) -> str:
        """The value of a session cookie: the same for the same claims, so it changes only when they do."""
        body = wire.pack({"session": session, "rotation": rotation, "login": None if login is None else login.model_dump()})
        return _text(self._sessions.proof(body) + body)

    def step(self, session: str, flow: str, shown: Shown) -> str:
        """The value that names a transition of a run, good in this session and flow only."""
        body = wire.pack([shown.run, shown.transition, shown.version])
        return _text(self._steps.proof(session.encode(), flow.encode(), body) + body)

    def shown(self, value: str, session: str, flow: str) -> Shown | None:
        """What `step` put in; None if it was not made for this session and flow."""
        raw = _raw(value)
        if raw is None or not self._steps.holds(raw[:MAC_BYTES], session.encode(), flow.encode(), raw[MAC_BYTES:]):
            return None
        run, transition, version = wire.unpack(raw[MAC_BYTES:], _MAX_VALUE)
        return Shown(run=run, transition=transition, version=version)

    def command(self, session: str, command: str) -> str:
        """The value that names a command of this session. Commands stand in topics: whoever reads one there cannot ask for its reply."""
        return _text(self._commands.proof(session.encode(), command.encode()) + command.encode())

    def awaited(self, value: str, session: str) -> str | None:
        """The command that `command` put in; None if it was not made for this session."""
        raw = _raw(value)
        if raw is None or not self._commands.holds(raw[:MAC_BYTES], session.encode(), raw[MAC_BYTES:]):
            return None
        return raw[MAC_BYTES:].decode()

    def set_session(self, client: Client, value: str, login: LoginClaims | None, now_us: int) -> str:
        """`Set-Cookie` of the session; a persistent login's cookie lives as long as the login."""
        age = None
        if login is not None and login.persistent and login.expires_us is not None:
            age = max(1, (login.expires_us - now_us) // 1_000_000)
        return self._line(client, self.session_name, value, max_age=age)

    def clear_session(self, client: Client) -> str:
        """`Set-Cookie` that deletes the session."""
        return self._line(client, self.session_name, "", max_age=0, http_only=False)

    def set_csrf(self, client: Client, value: str) -> str:
        """`Set-Cookie` of the CSRF token, which scripts of ours must be able to read."""
        return self._line(client, self.csrf_name, value, max_age=CSRF_AGE_S, http_only=False)

    def set_step(self, client: Client, path: str, value: str) -> str:
        """`Set-Cookie` of what was shown on this path."""
        return self._line(client, STEP, value, path=path)

    def set_command(self, client: Client, path: str, value: str) -> str:
        """`Set-Cookie` of a command whose answer is still to come on this path; "" deletes it."""
        return self._line(client, COMMAND, value, path=path, max_age=COMMAND_AGE_S if value else 0)

    def _opened(self, value: str) -> SessionCookie | None:
        try:
            return self._known(value)
        except _NotOurs:
            return None

    def _open(self, value: str) -> SessionCookie:
        raw = _raw(value)
        if raw is None or not self._sessions.holds(raw[:MAC_BYTES], raw[MAC_BYTES:]):
            raise _NotOurs
        try:
            body: dict[str, Any] = wire.unpack(raw[MAC_BYTES:], _MAX_VALUE)
            login = None if body["login"] is None else LoginClaims.model_validate(body["login"])
            partition_of(body["session"])
            return SessionCookie(body["session"], body["rotation"], login, value)
        except (BadRecord, KeyError, ValidationError, ValueError):
            raise _NotOurs from None  # of another release: its claims mean nothing to us

    def _line(self, client: Client, name: str, value: str, *, path: str = "/", max_age: int | None = None, http_only: bool = True) -> str:
        secure = client.secure or self._always_secure
        same_site = self._same_site if secure else "Lax"
        return cookie_header.line(name, value, path=path, http_only=http_only, secure=secure, same_site=same_site, max_age=max_age)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(value: str) -> bytes | None:
    if not value or len(value) > _MAX_VALUE:
        return None
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # One value has one spelling: unused bits and padding must be as we write them.
    return raw if len(raw) > MAC_BYTES and _text(raw) == value else None
