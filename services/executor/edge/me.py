"""`/api/v3/core/users/me/`: who is this? Asked by gateways and pages all the time, so it costs neither Kafka nor SQL."""

import json
from typing import Any, Final

from aiohttp import web

from services.executor.common.avatars import avatar
from services.executor.edge.cookies import Cookies
from services.executor.edge.user_facts import UserFactsCache
from services.executor.edge.visits import Visit, Visits
from shared.contracts.people import UserFacts
from shared.kernel.clock import Clock
from shared.web import query_tokens
from shared.web.base import linked
from shared.web.bearer import BAD_TOKEN, NO_CREDENTIALS, credentials_of, missed
from shared.web.query_tokens import UserOfToken

_HEADERS: Final = {"Allow": "GET, HEAD, OPTIONS"}
_ANONYMOUS: Final = {"detail": NO_CREDENTIALS}
_BAD_TOKEN: Final = {"detail": BAD_TOKEN}


class Me:
    """The handler of the route."""

    def __init__(self, visits: Visits, facts: UserFactsCache, cookies: Cookies, user_of_token: UserOfToken, clock: Clock) -> None:
        self._visits = visits
        self._facts = facts
        self._cookies = cookies
        self._user_of_token = user_of_token
        self._clock = clock

    def routes(self) -> tuple[web.RouteDef, ...]:
        """One path."""
        return (web.get("/api/v3/core/users/me/", self.get),)

    async def get(self, request: web.Request) -> web.Response:
        """The user's own facts; 403 for nobody."""
        query_tokens.refuse(request, self._user_of_token)
        given = credentials_of(request)
        if given is not None and given.token is not None:
            found = await self._by_token(given.token)
            if found is None:
                missed(request, len(given.text))
                return _json(_BAD_TOKEN, 403)
            return _json(_document(found))
        visit = await self._visits.of(request)
        user = await self._facts.of(visit.login.user) if visit.login else None
        if user is None:
            return _json(_ANONYMOUS, 403)
        answer = _json(_document(user))
        self._set_again(answer, visit)
        return answer

    async def _by_token(self, token: str) -> UserFacts | None:
        pk = self._user_of_token(token)
        user = None if pk is None else await self._facts.of(pk)
        return user if user and user.is_active else None

    def _set_again(self, answer: web.Response, visit: Visit) -> None:
        if visit.session is not None:
            line = self._cookies.set_session(visit.client, visit.session.value, visit.login, self._clock.now_us())
            answer.headers.add("Set-Cookie", line)


def _document(user: UserFacts) -> dict[str, Any]:
    return {
        "user": {
            "pk": user.pk,
            "username": user.username,
            "name": user.name,
            "is_active": user.is_active,
            "is_superuser": user.is_superuser,
            "groups": [{"name": group.name, "pk": group.pk} for group in user.groups],
            "email": user.email,
            "avatar": linked(avatar(user.name or user.username)),
            "uid": user.uid,
            "settings": user.attributes.get("settings", {}),
            "type": user.type,
            "system_permissions": [],
        }
    }


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(body, separators=(",", ":")), status=status, content_type="application/json", charset="utf-8", headers=_HEADERS
    )
