"""`/api/v3/flows/executor/<slug>/`: the flow protocol as authentik 2024.8.3 was seen to speak it (docs/compat.md).

What is broken about a request there is a challenge like any other, `ak-stage-flow-error` with status 200, wherever a
recording says so; everything else is a problem answer.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from services.executor.edge import challenges, queries
from services.executor.edge.csrf import HEADER, Csrf, same
from services.executor.edge.dialogue import AnotherBody, Dialogue, Exchange, Superseded, UnknownFlow
from services.executor.edge.steps import StillWorking
from services.executor.edge.user_facts import UserFactsCache
from services.executor.edge.visits import Visit, Visits
from shared.kernel.errors import Unavailable
from shared.web import query_tokens, strict_json
from shared.web.app import CORRELATION, body_of, suspect
from shared.web.base import ours
from shared.web.bearer import count_guess, credentials_of
from shared.web.errors import Refusal, later
from shared.web.forgery import refuse_foreign
from shared.web.query_tokens import UserOfToken

SLUG: Final = re.compile(r"[-a-zA-Z0-9_]{1,50}\Z")
_HEADERS: Final = {"Allow": "GET, POST, HEAD, OPTIONS", "X-Frame-Options": "SAMEORIGIN"}
_DESCRIPTION: Final = {
    "name": "Flow Executor",
    "description": "Flow executor, passing requests to Stage Views",
    "renders": ["application/json"],
    "parses": ["application/json"],
}
_FLOW_ERRORS: Final = ("PUT", "PATCH", "DELETE")
_JSON_TYPES: Final = frozenset({"*/*", "application/*", "application/json"})


class FlowError(Exception):
    """The request gets a flow error; `kind` is the class of the security record."""

    def __init__(self, kind: str, size: int = 0) -> None:
        super().__init__(kind)
        self.kind = kind
        self.size = size


class ExecutorApi:
    """The handlers of the executor's route."""

    def __init__(self, visits: Visits, dialogue: Dialogue, csrf: Csrf, facts: UserFactsCache, user_of_token: UserOfToken) -> None:
        self._visits = visits
        self._dialogue = dialogue
        self._csrf = csrf
        self._facts = facts
        self._user_of_token = user_of_token

    def routes(self) -> tuple[web.RouteDef, ...]:
        """All methods of the one path."""
        return (web.route("*", "/api/v3/flows/executor/{slug}/", self.handle),)

    async def handle(self, request: web.Request) -> web.Response:
        """One request of a visitor's client."""
        query_tokens.refuse(request, self._user_of_token)
        slug = request.match_info["slug"]
        if not SLUG.match(slug):
            suspect(request, "slug_malformed", len(slug))
            return _unknown(request)
        visit = await self._visits.of(request, slug, api=True)
        try:
            return await self._answered(request, visit)
        except FlowError as failed:
            suspect(request, failed.kind, failed.size)
            return await self._unchanged(request, visit, _json(challenges.flow_error(request[CORRELATION])))
        except UnknownFlow:
            return _unknown(request)
        except Superseded:
            raise later("superseded") from None
        except AnotherBody:
            raise Refusal(409, "another_body", size=request.content_length or 0) from None
        except StillWorking as working:
            raise later(working.reason, cookies=self._dialogue.waiting(visit, working)) from None

    async def _answered(self, request: web.Request, visit: Visit) -> web.Response:
        match request.method:
            case "GET":
                self._check_credentials(request)
                _check_accept(request)
                return await self._show(request, visit)
            case "POST":
                refuse_foreign(request, visit.client)
                self._check_credentials(request)
                self._check_token(request, visit)
                _check_accept(request)
                return await self._answer(request, visit)
            case "OPTIONS":
                return await self._unchanged(request, visit, _json(_DESCRIPTION))
            case "HEAD":
                return await self._unchanged(request, visit, web.Response(status=405, headers=_HEADERS, content_type="text/html"))
            case method if method in _FLOW_ERRORS:
                raise FlowError("method_not_allowed")
            case _:
                raise Refusal(405, "method_not_allowed", headers={"Allow": _HEADERS["Allow"]})

    async def _show(self, request: web.Request, visit: Visit) -> web.Response:
        if visit.unasked and visit.login:
            # A GET may act (log out, leave): not because another site told the browser to, or it looks ahead.
            raise Refusal(403, "cross_site")
        values = queries.last_values(request.rel_url.raw_query_string)
        exchange = await self._dialogue.show(visit, queries.short(values.get("query", "")), queries.outer_next(values))
        return _with(await self._shown(request, visit, exchange), exchange.cookies)

    async def _answer(self, request: web.Request, visit: Visit) -> web.Response:
        body = await _body(request)
        values = queries.last_values(request.rel_url.raw_query_string)
        exchange = await self._dialogue.answer(visit, body, queries.short(values.get("query", "")), queries.outer_next(values))
        going_on = _next(request, exchange)
        return _with(going_on or await self._shown(request, visit, exchange), exchange.cookies)

    async def _shown(self, request: web.Request, visit: Visit, exchange: Exchange) -> web.Response:
        if exchange.ended and visit.login is None:
            suspect(request, "ended_at_once")  # it stands in no history
        explained = exchange.view.kind == "error" and await self._is_superuser(visit)
        return _json(challenges.document(exchange.view, request[CORRELATION], explained=explained))

    async def _is_superuser(self, visit: Visit) -> bool:
        if visit.login is None:
            return False
        try:
            user = await self._facts.of(visit.login.user)
        except Unavailable:
            return False  # they learn less, and the answer does not fail for it
        return user is not None and user.is_superuser

    async def _unchanged(self, request: web.Request, visit: Visit, answer: web.Response) -> web.Response:
        """An answer that takes no step; it sets the session cookie again, as every answer of this route does."""
        try:
            return _with(answer, await self._dialogue.unchanged(visit))
        except UnknownFlow:
            return _unknown(request)
        except (Superseded, StillWorking, Unavailable, Refusal):
            return answer  # nobody vouches for the cookie now, and the answer does not need it

    def _check_credentials(self, request: web.Request) -> None:
        # A wrong token or another scheme fails; one word is no credentials at all (observed 4). The visitor stays the cookie's.
        given = credentials_of(request)
        if given is None or (given.token is not None and self._user_of_token(given.token) is not None):
            return
        if given.token is not None:
            count_guess(request)
        raise FlowError("credentials", len(given.text))

    def _check_token(self, request: web.Request, visit: Visit) -> None:
        sent = request.headers.get(HEADER, "")
        if visit.login is not None and not (any(same(sent, one) for one in visit.csrfs)):
            raise FlowError("csrf", len(sent))


def _next(request: web.Request, exchange: Exchange) -> web.Response | None:
    """302 to itself after an answer that went on; to a client that spells the query otherwise, a redirect challenge."""
    if not (exchange.advanced and exchange.view.kind == "challenge"):
        return None
    location = queries.rebuilt(request.rel_url.raw_path, request.rel_url.raw_query_string)
    if location == request.raw_path:
        return web.Response(status=302, headers={**_HEADERS, "Location": ours(location)}, content_type="text/html", charset="utf-8")
    return _json(challenges.redirect(ours(location)))


async def _body(request: web.Request) -> bytes:
    """The bytes of one JSON document. They go on as they came: what was read here, the worker reads the same."""
    raw = await body_of(request)
    if not raw:
        return b"{}"
    kind, _, parameters = request.headers.get("Content-Type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise FlowError("content_type", len(raw))
    charset = parameters.replace(" ", "").lower()
    if charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        raise Refusal(415, "charset", size=len(raw))
    try:
        strict_json.parse(raw)
    except strict_json.BadEncoding as bad:
        raise FlowError(bad.code, len(raw)) from None
    except strict_json.BadJson as bad:
        if type(bad) is strict_json.BadJson:
            raise FlowError(bad.code, len(raw)) from None
        raise Refusal(400, bad.code, size=len(raw)) from None
    return raw


def _check_accept(request: web.Request) -> None:
    accept = request.headers.get("Accept")
    if accept is not None and not any(part.partition(";")[0].strip().lower() in _JSON_TYPES for part in accept.split(",")):
        raise FlowError("accept", len(accept))


def _unknown(request: web.Request) -> web.Response:
    """No such flow: a page for GET; the error pages of authentik take no other method (observed 1)."""
    if request.method == "GET":
        raise Refusal(404, "flow_unknown", record=False)
    return web.Response(status=405, headers={"Allow": "GET, HEAD, OPTIONS"}, content_type="text/html", charset="utf-8")


def _json(body: Mapping[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(body, separators=(",", ":")), content_type="application/json", headers=_HEADERS)


def _with(answer: web.Response, lines: tuple[str, ...]) -> web.Response:
    for line in lines:
        answer.headers.add("Set-Cookie", line)
    return answer
