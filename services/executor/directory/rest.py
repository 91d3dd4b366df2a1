"""`/api/v3/core/users/`: users for administrators with a superuser's bearer token, as authentik 2024.8.3 answers."""

import json
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from services.executor.directory.bodies import new_user, object_of, password_of
from services.executor.directory.last_administrator import LastAdministrator
from services.executor.directory.naming import UserRefused
from services.executor.directory.presenting import page_json, user_json
from services.executor.directory.users import Users
from shared.flows.fields import BooleanField, Invalid
from shared.web import query_tokens
from shared.web.bearer import Forbidden, Tokens, superuser_of
from shared.web.rest import Detailed, doubled

PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 100
_LIST_ALLOW: Final = {"Allow": "GET, POST, HEAD, OPTIONS"}
_ONE_ALLOW: Final = {"Allow": "GET, DELETE, HEAD, OPTIONS"}
_POST_ALLOW: Final = {"Allow": "POST, OPTIONS"}

_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]*)\Z")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class UsersApi:
    """The handlers of the routes."""

    def __init__(self, users: Users, tokens: Tokens) -> None:
        self._users = users
        self._tokens = tokens

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes; `/api/v3/core/users/me/` is the edge's."""
        one = "/api/v3/core/users/{pk:[^/]+}/"
        return (
            web.get("/api/v3/core/users/", self._guarded(self.list, _LIST_ALLOW)),
            web.post("/api/v3/core/users/", self._guarded(self.create, _LIST_ALLOW)),
            web.get(one, self._guarded(self.retrieve, _ONE_ALLOW)),
            web.delete(one, self._guarded(self.delete, _ONE_ALLOW)),
            web.post(one + "set_password/", self._guarded(self.set_password, _POST_ALLOW)),
            web.route("*", "/api/v3/core/users/", self._guarded(self.other, _LIST_ALLOW)),
            web.route("*", one, self._guarded(self.other, _ONE_ALLOW)),
            web.route("*", one + "set_password/", self._guarded(self.other, _POST_ALLOW)),
        )

    async def list(self, request: web.Request) -> web.Response:
        """Users by name, a page at a time, or the one with `?username=`; `?ambiguous=true`, which is ours: those who share an
        identifier with somebody else. Other filters are ignored, as authentik does."""
        number, size = _number(request, "page", 1, 2**31), _number(request, "page_size", PAGE_SIZE, PAGE_SIZE_MAX)
        _check_single(request)
        wanted = request.query.getall("username", [])
        if wanted and wanted[-1]:
            found = await self._users.named(wanted[-1])
            # Exactly this spelling: who looks for `Alice` to create her must learn from the refusal that `alice` is there.
            users = [found] if found and found.facts.username == unicodedata.normalize("NFKC", wanted[-1]) else []
            count = len(users)
            users = users if number == 1 else []
        else:
            count, page = await self._users.page(number, size, ambiguous=request.query.get("ambiguous", "").lower() in ("true", "1"))
            users = list(page)
        if number > 1 and (number - 1) * size >= count:
            raise Detailed(404, "Invalid page.")
        return _json(page_json(users, count, number, size))

    async def create(self, request: web.Request) -> web.Response:
        """Make a user, without a password."""
        return _json(user_json(await self._users.create(new_user(await object_of(request)))), 201)

    async def retrieve(self, request: web.Request) -> web.Response:
        """One user."""
        user = await self._users.get(_pk(request))
        if user is None:
            raise _not_found()
        return _json(user_json(user))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a user; the last who may administer only with `?force=true`."""
        if not await self._users.delete(_pk(request), force=_flag(request, "force")):
            raise _not_found()
        return web.Response(status=204)

    async def set_password(self, request: web.Request) -> web.Response:
        """Give a user a new password; all their logins end."""
        if await self._users.get(_pk(request)) is None:
            raise _not_found()
        if not await self._users.set_password(_pk(request), password_of(await object_of(request))):
            raise _not_found()
        return web.Response(status=204)

    async def other(self, request: web.Request) -> web.Response:
        """A method that is not there, refused in authentik's words; `OPTIONS` says which are."""
        if request.method == "OPTIONS":
            return web.Response()
        raise Detailed(405, f'Method "{request.method[:20]}" not allowed.')

    def _guarded(self, handler: Handler, headers: dict[str, str]) -> Handler:
        """The handler for superusers only, with refusals in authentik's shape."""

        async def guarded(request: web.Request) -> web.Response:
            query_tokens.refuse(request, self._tokens.user_of)
            try:
                superuser_of(request, self._tokens)
                answer = await handler(request)
            except Forbidden as forbidden:
                answer = _json({"detail": forbidden.detail}, 403)
            except Detailed as told:
                answer = _json({"detail": told.detail}, told.status)
            except LastAdministrator as last:
                answer = _json({"detail": last.detail, "code": last.code}, 409)
            except UserRefused as refused:
                answer = _json({name: list(texts) for name, texts in refused.errors.items()}, 400)
            answer.headers.update(headers)
            return answer

        return guarded


def _pk(request: web.Request) -> int:
    text = request.match_info["pk"]
    if not _NUMBER.match(text):
        raise Detailed(400, "Not a valid number.")
    if len(text) > 10 or (pk := int(text)) >= 2**31:
        raise _not_found()
    return pk


def _check_single(request: web.Request) -> None:
    """`UserRefused` for a parameter that comes twice: which of them would count?"""
    if (name := doubled(request.query)) is not None:
        raise UserRefused({name[:100]: ("Only one value is allowed.",)})


def _flag(request: web.Request, name: str) -> bool:
    """A yes or no in the query, no where it is absent; `UserRefused` for anything that is neither, or that comes twice."""
    _check_single(request)
    try:
        return bool(BooleanField().clean(request.query.get(name, "false")))
    except Invalid as refused:
        raise UserRefused({name: (refused.problem.string,)}) from None


def _not_found() -> Detailed:
    return Detailed(404, "Not found.")


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    """A number of the query; what is none, or none that makes sense, is silently the default (docs/compat.md, Lists)."""
    text = (request.query.getall(name, [""]))[-1]
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    return min(number, most) if number > 0 else default


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body, ensure_ascii=False), status=status, content_type="application/json", charset="utf-8")
