"""What a request says about its visitor, read once: cookies, login, where from, and what they had before their eyes."""

from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from services.executor.adapters.edge.cookies import Cookies, SessionCookie
from services.executor.adapters.edge.logins import LoginCheck
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Shown
from shared.web.app import CLIENT
from shared.web.client import Client
from shared.web.errors import Refusal

_MAX_AGENT: Final = 512
_PURPOSES: Final = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a visitor. `path` is where its step cookie lives.

    `login` is checked and good; `login_over`: the cookie names one that is not. `shown` is what the page or the step
    cookie named, `foreign` says that it named something of another session or flow, or nothing that we made.
    `unasked`: nobody at this browser is known to have wanted this GET, so it may show something and do nothing.
    `csrf` is the cookie's token as it was sent; `Csrf.kept` says whether it is one of ours, for this login.
    `awaited` is the command whose reply this browser was promised on a "still working" page.
    """

    client: Client
    agent: str
    path: str
    flow: str
    session: SessionCookie | None
    login: LoginClaims | None
    login_over: bool
    shown: Shown | None
    foreign: bool
    csrf: str | None
    awaited: str | None
    unasked: bool

    @property
    def rotation(self) -> int:
        """The rotation that the cookie names; 0 without one."""
        return self.session.rotation if self.session else 0


class Visits:
    """Reads visits."""

    def __init__(self, cookies: Cookies, logins: LoginCheck) -> None:
        self._cookies = cookies
        self._logins = logins

    async def of(self, request: web.Request, flow: str = "") -> Visit:
        """The visit that a request is; `Refusal` for doubled cookies, `Unavailable` when a login cannot be checked."""
        client = request[CLIENT]
        jar = self._cookies.read(request, client, request.path)
        claims = jar.session.login if jar.session else None
        good = claims is not None and await self._logins.is_good(claims)
        login = claims if good else None
        visit = Visit(
            client=client,
            agent=plain(request.headers.get("User-Agent", ""))[:_MAX_AGENT],
            path=request.path,
            flow=flow,
            session=jar.session,
            login=login,
            login_over=claims is not None and not good,
            shown=None,
            foreign=False,
            csrf=jar.csrf,
            awaited=self._cookies.awaited(jar.command, jar.session.session) if jar.command and jar.session else None,
            unasked=_unasked(request),
        )
        return self.looking_at(visit, jar.step)

    def looking_at(self, visit: Visit, step: str | None) -> Visit:
        """The visit of somebody who had this step before their eyes: a form's hidden field goes before the cookie."""
        if step is None:
            return replace(visit, shown=None, foreign=False)
        shown = self._cookies.shown(step, visit.session.session, visit.flow) if visit.session else None
        return replace(visit, shown=shown, foreign=shown is None)


def refuse_foreign(request: web.Request, visit: Visit) -> None:
    """`Refusal` for a POST that another site makes a browser send (Fetch metadata; Origin, RFC 6454 §7)."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if (origin is not None and origin.lower() != visit.client.origin) or site in ("cross-site", "same-site"):
        raise Refusal(403, "foreign_origin", size=len(origin or ""))


def says_ours(request: web.Request) -> bool:
    """Whether the browser itself says that a page of ours sends this, `refuse_foreign` having passed: then no token is needed. Of
    many tabs' forms only the newest fits the newest cookie (architecture §3)."""
    return "Origin" in request.headers or request.headers.get("Sec-Fetch-Site") == "same-origin"


def _unasked(request: web.Request) -> bool:
    """Whether a browser asks on behalf of another site, ahead of time, or for a picture, a frame or the like of it.

    Fetch metadata (W3C) and the headers of prefetches; what sends neither, an API's client, has to be taken at its word.
    """
    site, mode, dest = (request.headers.get(f"Sec-Fetch-{name}", "").lower() for name in ("Site", "Mode", "Dest"))
    if any(word in request.headers.get(name, "").lower() for name in _PURPOSES for word in ("prefetch", "prerender", "preview")):
        return True
    return site == "cross-site" or dest not in ("", "document", "empty") or (site == "same-site" and mode not in ("", "navigate"))


def plain(text: str) -> str:
    """A text that messages can carry: valid Unicode, without NUL (`shared.contracts.wire`)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
