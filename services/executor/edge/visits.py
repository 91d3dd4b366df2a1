"""What a request says about its visitor, read once: cookies, login, where from, and what they had before their eyes."""

from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from services.executor.edge.cookies import Awaited, Cookies, Jar, SessionCookie
from services.executor.edge.csrf import Csrf
from services.executor.edge.devices import Devices
from services.executor.edge.login_check import LoginCheck
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Page, Shown
from shared.kernel.clock import Clock
from shared.web.app import CLIENT
from shared.web.client import Client

_MAX_AGENT: Final = 512
_NO_DOCUMENTS: Final = ("image/", "video/", "audio/", "font/", "text/css", "application/font")
_PURPOSES: Final = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a visitor. `path` is where its step cookie lives.

    `login` is checked and good; `login_over`: the cookie names one that is not. `shown` is what the page or the step
    cookie named, or `page`, if nobody had answered that; `foreign` says that it named something of another session or flow, or
    nothing that we made. `named` is the run that the page's URL names. `api`: through the JSON API.
    `unasked`: nobody at this browser is known to have wanted this GET, so it may show something and do nothing.
    `csrfs` are the tokens of the CSRF cookie that were made for this login, or for nobody; `csrf` is the first of them, or
    what was sent that is none; `Csrf.kept` tells.
    `devices` are log-ins that were made in this browser before: they prove nothing.
    `awaited` is the command whose reply this browser was promised on a "still working" page, of the run that this is about.
    """

    client: Client
    agent: str
    path: str
    flow: str
    session: SessionCookie | None
    login: LoginClaims | None
    login_over: bool
    named: str
    api: bool
    shown: Shown | None
    page: Page | None
    foreign: bool
    csrf: str | None
    csrfs: tuple[str, ...]
    awaited: Awaited | None
    unasked: bool
    devices: Devices = ()

    @property
    def rotation(self) -> int:
        """The rotation that the cookie names; 0 without one."""
        return self.session.rotation if self.session else 0

    @property
    def run(self) -> str:
        """The run that the request names; "" for none."""
        return self.page.run if self.page else self.shown.run if self.shown else self.named


class Visits:
    """Reads visits."""

    def __init__(self, cookies: Cookies, logins: LoginCheck, csrf: Csrf, clock: Clock) -> None:
        self._cookies = cookies
        self._csrf = csrf
        self._logins = logins
        self._clock = clock

    async def of(self, request: web.Request, flow: str = "", *, named: str = "", api: bool = False) -> Visit:
        """The visit that a request is; `Refusal` for doubled cookies, `Unavailable` when a login cannot be checked."""
        client = request[CLIENT]
        jar = self._cookies.read(request, client)
        claims = jar.session.login if jar.session else None
        good = claims is not None and await self._logins.is_good(claims)
        login = claims if good else None
        csrfs = tuple(one for one in jar.csrfs if self._csrf.is_for(one, login))
        visit = Visit(
            client=client,
            agent=plain(request.headers.get("User-Agent", ""))[:_MAX_AGENT],
            path=request.path,
            flow=flow,
            session=jar.session,
            login=login,
            login_over=claims is not None and not good,
            named=named,
            api=api,
            shown=None,
            page=None,
            foreign=False,
            csrf=next(iter((*csrfs, *jar.csrfs)), None),
            csrfs=csrfs,
            awaited=self._awaited(jar, named),
            unasked=_unasked(request),
            devices=jar.devices,
        )
        return self.looking_at(visit, *jar.steps)

    def looking_at(self, visit: Visit, *steps: str) -> Visit:
        """The visit of somebody who had this step before their eyes: a form's hidden field goes before the cookie. Of several the
        one that is ours counts."""
        session = visit.session.session if visit.session else None
        shown = next(filter(None, (self._cookies.shown(step, session, visit.flow) for step in steps if session)), None)
        page = None
        if shown is None:
            now = self._clock.now_us()
            page = next(filter(None, (self._cookies.page_of(step, visit.flow, now) for step in steps)), None)
        return replace(visit, shown=shown, page=page, foreign=bool(steps) and not (shown or page))

    def _awaited(self, jar: Jar, named: str) -> Awaited | None:
        session = jar.session.session if jar.session else None
        for value in jar.commands if session else ():
            found = self._cookies.awaited(value, session or "")
            if found and (not named or not found.run or named == found.run):  # else it is another tab that waits
                return found
        return None


def _unasked(request: web.Request) -> bool:
    """Whether a browser asks on behalf of another place, a sibling's too, ahead of time, or for a picture, a frame or the like of it.

    Fetch metadata (W3C), the headers of prefetches, and what an older browser says it wants to have; what sends none of these, an
    API's client, has to be taken at its word.
    """
    site, dest = (request.headers.get(f"Sec-Fetch-{name}", "").strip().lower() for name in ("Site", "Dest"))
    if any(word in request.headers.get(name, "").lower() for name in _PURPOSES for word in ("prefetch", "prerender", "preview")):
        return True
    if request.headers.get("Accept", "").lower().startswith(_NO_DOCUMENTS):
        return True
    return site in ("cross-site", "same-site") or dest not in ("", "document", "empty")


def plain(text: str) -> str:
    """A text that messages can carry: valid Unicode, without NUL (`shared.contracts.wire`)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
