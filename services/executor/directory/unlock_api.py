"""`POST /api/sluice/v1/users/<pk>/unlock/`: ours, for superusers with a bearer token; refusals are problems (RFC 9457)."""

import re
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from services.executor.directory.unlocking import Unlocking
from shared.contracts.directory import TokenChanged
from shared.web import query_tokens
from shared.web.bearer import NO_PERMISSION, Forbidden, Tokens, superuser_of
from shared.web.errors import Refusal

PATH: Final = "/api/sluice/v1/users/{pk:[^/]+}/unlock/"
_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class UnlockApi:
    """The handler of the route."""

    def __init__(self, unlocking: Unlocking, tokens: Tokens) -> None:
        self._unlocking = unlocking
        self._tokens = tokens

    def routes(self) -> Iterable[web.RouteDef]:
        """One path; other methods are refused by the application."""
        return (web.post(PATH, self.unlock),)

    async def unlock(self, request: web.Request) -> web.Response:
        """Unlock an account: `{"user": 7, "locked": ["account"]}`, what was used up; an empty list if nothing was."""
        query_tokens.refuse(request, self._tokens.user_of)
        who = self._superuser(request)
        text = request.match_info["pk"]
        were = await self._unlocking.unlock(int(text), who.username, who.user) if _NUMBER.match(text) else None
        if were is None:
            raise Refusal(404, "user_unknown", size=len(text), record=False)
        return web.json_response({"user": int(text), "locked": list(were.locked)})

    def _superuser(self, request: web.Request) -> TokenChanged:
        try:
            return superuser_of(request, self._tokens)
        except Forbidden as forbidden:
            if forbidden.detail == NO_PERMISSION:
                raise Refusal(403, "superuser_only", record=False) from None
            raise Refusal(401, "credentials_needed", headers=_CHALLENGE, record=False) from None
