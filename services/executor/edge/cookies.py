"""The cookies of a browser (architecture §3): what is in them, who may have made them, how they are set.

`authentik_session`: session, rotation, when it was made and, for somebody logged in, the login's claims, sealed: nobody else
can read or make it. `sluice_step`: the transition of a run that was last shown on this path, or what a page says of itself
that nobody has answered. `sluice_command`: a command whose answer the browser has not had yet. The last two carry a proof,
each under its own key, so none can stand in for another.

Another program may set cookies of our names on a parent domain (authentik beside us does): every value is tried, the one
that proves itself counts. Over HTTPS the session is called `__Host-authentik_session`, which only this host can set, and
nothing is read under the short name: a sibling could plant a session of its own there that proves itself.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from services.executor.edge import devices
from services.executor.edge.devices import DeviceCookies, Devices
from services.executor.edge.settings import EdgeSettings
from services.executor.edge.text import MAX_VALUE as _MAX_VALUE
from services.executor.edge.text import raw_of as _raw
from services.executor.edge.text import text_of as _text
from shared.contracts import wire
from shared.contracts.errors import BadRecord
from shared.contracts.people import LoginClaims
from shared.contracts.steps import REPLY_KEPT_S, Page, Shown
from shared.kernel.ids import partition_of
from shared.web import cookie_header
from shared.web.client import Client
from shared.web.errors import Refusal
from shared.web.keyring import MAC_BYTES, KeyRing

HOST: Final = "__Host-"
STEP: Final = "sluice_step"
COMMAND: Final = "sluice_command"
CSRF_AGE_S: Final = 31_449_600
PAGE_AGE_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """A session cookie that we made. `value` is what the browser sent, to be sent back unchanged; under an older secret key, the same
    under the newest, or the older one could never be dropped. `made_us`: when the session's
    first cookie was made; an edge makes one before there is a session to it."""

    session: str
    rotation: int
    login: LoginClaims | None
    value: str
    made_us: int


@dataclass(frozen=True, slots=True)
class Jar:
    """What a browser sent of our cookies: the session that we made, and of the others all values, of which one may be ours."""

    session: SessionCookie | None
    steps: tuple[str, ...]
    csrfs: tuple[str, ...]
    commands: tuple[str, ...]
    devices: Devices = ()


@dataclass(frozen=True, slots=True)
class Awaited:
    """A command whose reply the browser was promised: of which run, and a MAC of the body that came with it, b"" for none.

    `looked`: the browser has seen that it was not taken until then, so that it may send any body now.
    """

    command: str
    run: str
    mark: bytes
    looked: bool = False


class _NotOurs(Exception):
    """A session cookie that we did not make, or cannot read; raised, because a cache keeps what is returned."""


class Cookies:
    """Reads, makes and proves the cookies of one deployment."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._host_only = settings.host_cookies
        # Front ends written for authentik read the token under its name; a planted one is worth nothing.
        self._csrf_name = f"{HOST if self._host_only else ''}authentik_csrf"
        self._same_site = settings.same_site
        self._sessions = KeyRing(settings.secrets, "cookie/session/2")
        self._steps = KeyRing(settings.secrets, "cookie/step/1")
        self._pages = KeyRing(settings.secrets, "cookie/page/1")
        self._bodies = KeyRing(settings.secrets, "cookie/body/1")
        self._commands = KeyRing(settings.secrets, "cookie/command/1")
        self._devices = DeviceCookies(settings.secrets)
        # Gateways ask for the same logins all the time, and the same value has the same meaning. Only what we made is kept: of
        # what others make up there is no end, and each would be held with all its kilobytes.
        self._known = lru_cache(maxsize=settings.checked_logins)(self._open)

    def read(self, request: web.Request, client: Client) -> Jar:
        """The cookies of a request; broken ones count as none."""
        name, device = self._session_name(client), self._device_name(client)
        try:
            found = cookie_header.read(request.raw_headers, (name, self._csrf_name, STEP, COMMAND, device))
        except cookie_header.BadCookie as bad:
            raise Refusal(400, bad.code) from None
        except (cookie_header.TooManyCookies, cookie_header.CookieTooLarge) as many:
            raise Refusal(431, many.code) from None
        steps, csrfs, commands = (found.get(one, ()) for one in (STEP, self._csrf_name, COMMAND))
        return Jar(self._session(client, found.get(name, ())), steps, csrfs, commands, self._devices.read(found.get(device, ())))

    def session(self, session: str, rotation: int, login: LoginClaims | None, made_us: int) -> str:
        """The value of a session cookie: the same for the same claims, so it changes only when they do."""
        claims = None if login is None else login.model_dump()
        body = wire.pack({"session": session, "rotation": rotation, "login": claims, "made_us": made_us})
        return _text(self._sessions.sealed(body))

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

    def page(self, flow: str, page: Page) -> str:
        """The value of a page that nobody has answered yet: good in this flow, in whatever session its answer finds."""
        body = wire.pack(tuple(page.model_dump().values()))
        return _text(self._pages.proof(flow.encode(), body) + body)

    def page_of(self, value: str, flow: str, now_us: int) -> Page | None:
        """What `page` put in; None if it was not made for this flow, or more than a day ago."""
        raw = _raw(value)
        if raw is None or not self._pages.holds(raw[:MAC_BYTES], flow.encode(), raw[MAC_BYTES:]):
            return None
        found = Page.model_validate(dict(zip(Page.model_fields, wire.unpack(raw[MAC_BYTES:], _MAX_VALUE), strict=True)))
        return found if now_us - found.at_us <= PAGE_AGE_US else None

    def command(self, session: str, command: str, run: str, body: bytes) -> str:
        """The value that names a command of this session, its run, and by a MAC the body that came with it (b"" for none). Commands
        stand in topics: whoever reads one there cannot ask for its reply."""
        packed = wire.pack((command, run, self._bodies.proof(session.encode(), command.encode(), body) if body else b""))
        return _text(self._commands.proof(session.encode(), packed) + packed)

    def awaited(self, value: str, session: str) -> Awaited | None:
        """What `command` put in; None if it was not made for this session."""
        raw = _raw(value)
        if raw is None or not self._commands.holds(raw[:MAC_BYTES], session.encode(), raw[MAC_BYTES:]):
            return None
        return Awaited(*wire.unpack(raw[MAC_BYTES:], _MAX_VALUE))

    def looked_for(self, awaited: Awaited, session: str) -> str:
        """The value that names an awaited command whose reply was looked for, and did not come."""
        packed = wire.pack((awaited.command, awaited.run, b"", True))
        return _text(self._commands.proof(session.encode(), packed) + packed)

    def is_body(self, awaited: Awaited, session: str, body: bytes) -> bool:
        """Whether this body came with the awaited command."""
        return self._bodies.holds(awaited.mark, session.encode(), awaited.command.encode(), body)

    def set_session(self, client: Client, value: str, login: LoginClaims | None, now_us: int) -> str:
        """`Set-Cookie` of the session; a persistent login's cookie lives as long as the login."""
        age = None
        if login is not None and login.persistent and login.expires_us is not None:
            age = max(1, (login.expires_us - now_us) // 1_000_000)
        return self._line(client, self._session_name(client), value, max_age=age)

    def clear_session(self, client: Client) -> str:
        """`Set-Cookie` that deletes the session."""
        return self._line(client, self._session_name(client), "", max_age=0, http_only=False)

    def set_csrf(self, client: Client, value: str) -> str:
        """`Set-Cookie` of the CSRF token, which scripts of ours must be able to read."""
        return self._line(client, self._csrf_name, value, max_age=CSRF_AGE_S, http_only=False)

    def set_step(self, client: Client, path: str, value: str) -> str:
        """`Set-Cookie` of what was shown on this path."""
        return self._line(client, STEP, value, path=path)

    def set_command(self, client: Client, path: str, value: str) -> str:
        """`Set-Cookie` of a command whose answer is still to come on this path; "" deletes it."""
        return self._line(client, COMMAND, value, path=path, max_age=REPLY_KEPT_S if value else 0)

    def set_device(self, client: Client, before: Devices, login: LoginClaims) -> str:
        """`Set-Cookie` of whose log-ins were made in this browser, after this one."""
        return self._line(client, self._device_name(client), self._devices.value(before, login), max_age=devices.AGE_S)

    def _device_name(self, client: Client) -> str:
        return self._session_name(client).replace("authentik_session", devices.NAME)

    def _session_name(self, client: Client) -> str:
        host_only = client.secure if self._host_only is None else self._host_only
        return f"{HOST if host_only else ''}authentik_session"

    def _session(self, client: Client, values: tuple[str, ...]) -> SessionCookie | None:
        """The newest of one session. Two sessions that both prove themselves: one was planted, and nobody can tell which."""
        ours = [cookie for value in values if (cookie := self._opened(value))]
        if len({cookie.session for cookie in ours}) > 1:
            paths = dict.fromkeys((f"{client.prefix}/", "/"))
            name = self._session_name(client)
            raise Refusal(400, "cookie_doubled", cookies=tuple(self._line(client, name, "", at=path, max_age=0) for path in paths))
        return max(ours, key=lambda cookie: cookie.rotation, default=None)

    def _opened(self, value: str) -> SessionCookie | None:
        try:
            return self._known(value)
        except _NotOurs:
            return None

    def _open(self, value: str) -> SessionCookie:
        raw = _raw(value)
        text = None if raw is None else self._sessions.opened(raw)
        if text is None:
            raise _NotOurs
        try:
            body: dict[str, Any] = wire.unpack(text, _MAX_VALUE)
            login = None if body["login"] is None else LoginClaims.model_validate(body["login"])
            partition_of(body["session"])
            return SessionCookie(body["session"], body["rotation"], login, _text(self._sessions.sealed(text)), body["made_us"])
        except (BadRecord, KeyError, ValidationError, ValueError):
            raise _NotOurs from None  # of another release: its claims mean nothing to us

    def _line(
        self, client: Client, name: str, value: str, *, path: str = "/", at: str = "", max_age: int | None = None, http_only: bool = True
    ) -> str:
        """`path` is one of our own paths; `at` one as the browser has it. A `__Host-` cookie is the whole host's (RFC 6265bis §4.1.3.2)."""
        secure = client.secure or bool(self._host_only)
        same_site = self._same_site if secure else "Lax"
        path = "/" if name.startswith(HOST) else at or client.prefix + path
        return cookie_header.line(name, value, path=path, http_only=http_only, secure=secure, same_site=same_site, max_age=max_age)
