"""One path of the API: who asks, which method, and what becomes of refusals."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from services.catalog.adapters.http.bodies import answer, refused
from services.catalog.domain.problems import Invalid
from services.catalog.domain.ways_in import WayInLost
from shared.web import query_tokens
from shared.web.bearer import NO_CREDENTIALS, NO_PERMISSION, Forbidden, Tokens, superuser_of
from shared.web.rest import Detailed

Method = Callable[[web.Request, str], Awaitable[web.Response]]
"""Takes the request and the name of who asks."""


class Endpoint:
    """A path with its methods; `HEAD` and `OPTIONS` come by themselves. `hidden`: without credentials it says nothing of
    credentials, as recorded for single flows."""

    def __init__(self, path: str, tokens: Tokens, methods: Mapping[str, Method], *, hidden: bool = False) -> None:
        self.path: Final = path
        self._tokens = tokens
        self._methods = methods
        self._hidden = hidden
        self._allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])

    @property
    def route(self) -> web.RouteDef:
        """The route, for every method: those that are not there are refused here, in authentik's words."""
        return web.route("*", self.path, self._handle)

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            made = await self._made(request)
        except Detailed as told:
            made = answer({"detail": told.detail}, told.status)
        except Invalid as invalid:
            made = refused(invalid)
        except WayInLost as lost:
            made = answer({"detail": lost.detail, "code": lost.code, "places": list(lost.places)}, 409)
        made.headers["Allow"] = self._allow
        return made

    async def _made(self, request: web.Request) -> web.Response:
        query_tokens.refuse(request, self._tokens.user_of)
        try:
            actor = superuser_of(request, self._tokens).username
        except Forbidden as forbidden:
            says_nothing = self._hidden and forbidden.detail == NO_CREDENTIALS and request.method == "GET"
            raise Detailed(403, NO_PERMISSION if says_nothing else forbidden.detail) from None
        if request.method == "OPTIONS":
            return web.Response()
        method = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if method is None:
            raise Detailed(405, f'Method "{request.method[:20]}" not allowed.')
        return await method(request, actor)
