"""The application factory: around every route the same guard, correlation, problem answers and headers.

Order, from outside: trace and correlation id, headers, problems, limits, client. A handler finds the `Client` under
`CLIENT`, the correlation id (32 hex digits, the trace id where there is a trace) under `CORRELATION`, and notes what
was hostile about a request with `suspect`.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shared.kernel.errors import Unavailable
from shared.web import base, clearing, forgery, health
from shared.web.client import Client, Clients
from shared.web.errors import Refusal, later
from shared.web.forwarded import FORWARDING
from shared.web.headers import HEADERS, Hsts
from shared.web.limits import Limits
from shared.web.problems import problem, wants_page
from shared.web.security_log import SecurityLog
from shared.web.token_guesses import TokenGuesses

Trace = Callable[[str], AbstractContextManager[str | None]]
"""Begins a span with this name; the value is its W3C `traceparent`, None outside of any trace."""

CLIENT: Final = web.RequestKey("client", Client)
CORRELATION: Final = web.RequestKey("correlation", str)
LIMITS: Final = web.AppKey("limits", Limits)
GUESSES: Final = web.AppKey("guesses", TokenGuesses)
_SUSPECT: Final = web.RequestKey("suspect", tuple[str, int, Mapping[str, str | int]])

_log = logging.getLogger(__name__)


def make_app(
    routes: Iterable[web.AbstractRouteDef],
    limits: Limits,
    records: SecurityLog,
    clients: Clients | None = None,
    trace: Trace = lambda name: nullcontext(None),
    hsts: Hsts | None = None,
    guesses: TokenGuesses | None = None,
) -> web.Application:
    """An application with these routes; serve it with `server.Listener`, which knows the rest of the limits."""
    guard = _Guard(limits, records, clients or Clients(), trace, hsts or Hsts())
    app = web.Application(middlewares=[guard.middleware], client_max_size=limits.body)
    app[LIMITS] = limits
    if guesses is not None:
        app[GUESSES] = guesses
    app.add_routes(routes)
    return app


async def body_of(request: web.Request) -> bytes:
    """The whole body of a request, within the application's limits."""
    return await request.app[LIMITS].body_of(request)


def suspect(request: web.Request, kind: str, size: int = 0, **facts: str | int) -> None:
    """Note that this request deserves a security record; the first note counts, one record is written at the end.

    `facts` go into the record: never anything that was sent.
    """
    if _SUSPECT not in request:
        request[_SUSPECT] = (kind, size, facts)


class _Guard:
    def __init__(self, limits: Limits, records: SecurityLog, clients: Clients, trace: Trace, hsts: Hsts) -> None:
        self._limits = limits
        self._records = records
        self._clients = clients
        self._trace = trace
        self._hsts = hsts
        self._strangers: set[str] = set()

    @property
    def middleware(self) -> Middleware:
        """This guard as aiohttp wants it."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            path = self._clients.prefix(request)
            base.enter(path)
            if path and (found := await base.inner(request, path)) is not request:
                request, handler = found, found.match_info.handler
            with self._trace(f"{request.method} {_route(request)}" if request.method in _METHODS else "HTTP") as context:
                request[CORRELATION] = context[3:35] if context else secrets.token_hex(16)
                answer = await self._answer(request, handler)
            for name, value in HEADERS.items():
                answer.headers.setdefault(name, value)
            if (client := request.get(CLIENT)) is not None and (line := self._hsts.for_client(client)):
                answer.headers.setdefault("Strict-Transport-Security", line)
            return answer

        return guard

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path == clearing.PATH:
                return clearing.cleared(request, self._clients.of(request))  # whatever the size of its head
            self._limits.check(request)
            if request.path not in health.PATHS:  # an orchestrator asks by address, whatever hosts are served
                request[CLIENT] = self._client(request)
            answer = await handler(request)
        except Refusal as refusal:
            answer = self._refused(request, refusal)
        except Unavailable as away:
            _log.warning("a request could not be served: %s", away.code)
            answer = self._refused(request, later(away.code))
        except web.HTTPNotFound:
            there = await base.with_slash(request)
            found = None if there is None else web.Response(status=308, headers={"Location": there})
            answer = found or self._refused(request, Refusal(404, "not_found"))
        except web.HTTPException as stopped:
            answer = self._refused(request, _as_refusal(stopped))
        except Exception:  # noqa: BLE001 - here an error that nobody foresaw becomes an answer and a log line
            _log.exception("a request failed", extra={"correlation_id": request[CORRELATION]})
            answer = self._refused(request, Refusal(500, "internal", record=False))
        self._note(request)
        return answer

    def _client(self, request: web.Request) -> Client:
        client = self._clients.of(request)
        if not client.fronted and client.peer not in self._strangers and len(self._strangers) < _STRANGERS:
            self._notice(request, client.peer)
        for code in client.unread:
            self._records.record(code, 0, {"connection": client.peer}, standing=True)
        found = forgery.sender(request, client)
        if found.kind == forgery.OTHER and found.standing is forgery.Standing.UNPROVED:
            # The browser says that a page of ours asks: so a front hides from us where that is. Old browsers are refused meanwhile.
            self._records.record("origin_hidden", 0, forgery.facts(client, found), standing=True)
        return client

    def _notice(self, request: web.Request, peer: str) -> None:
        # A stranger's, or those of a front that nobody has told us of: only the administrator can say.
        if any(name in request.headers for name in FORWARDING):
            self._strangers.add(peer)
            _log.warning("forwarding headers from %s are not read: if that is a front, it belongs into SLUICE_TRUSTED_PROXIES", peer)

    def _refused(self, request: web.Request, refusal: Refusal) -> web.StreamResponse:
        if refusal.record:
            suspect(request, refusal.error, refusal.size, **refusal.facts)
        return problem(refusal, request[CORRELATION], page=wants_page(request), body=request.method != "HEAD")

    def _note(self, request: web.Request) -> None:
        if _SUSPECT in request:
            kind, size, facts = request[_SUSPECT]
            self._records.record(kind, size, {"correlation_id": request[CORRELATION], **facts})


_STRANGERS: Final = 16  # connections with forwarding headers that are told of: a front is soon among them, and no more can fill a log
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _route(request: web.Request) -> str:
    # The route's own words: a path that somebody made up must not become the name of a span.
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "?"


def _as_refusal(stopped: web.HTTPException) -> Refusal:
    match stopped:
        case web.HTTPMethodNotAllowed():
            return Refusal(405, "method_not_allowed", headers={"Allow": ", ".join(sorted(stopped.allowed_methods))})
        case _:
            return Refusal(stopped.status, "http")
