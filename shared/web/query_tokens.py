"""Bearer tokens in a query string: refused, for there they end up in logs, histories and `Referer` (RFC 6750 §5.3).

A good token that was sent like this has to be changed: a security record of a class of its own, which no flood of made-up
ones can fill, says whose it is.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from shared.kernel.errors import Unavailable
from shared.web.app import suspect
from shared.web.bearer import parsed
from shared.web.errors import Refusal

_NAMES: Final = frozenset({"access_token", "api_key", "api_token", "apikey", "auth_token", "authorization", "bearer", "token"})
_SHORTEST: Final = 8
_MAX_FIELDS: Final = 1000
_EVERYDAY: Final = ("", "query=")

UserOfToken = Callable[[str], int | None]
"""The number of the user who has this bearer token, None for one that is not good; `Unavailable` while nobody can know."""


def refuse(request: web.Request, user_of: UserOfToken) -> None:
    """`Refusal` for a request whose query has a good token, under whatever name, or anything under the name of one."""
    query = request.rel_url.raw_query_string
    if query in _EVERYDAY:
        return
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=_MAX_FIELDS)
    except ValueError:
        return  # more fields than any route takes: whoever reads the query refuses it
    for name, value in pairs:
        user = _owner(value, user_of)
        if user is not None:
            suspect(request, "token_exposed", len(query), token_to_change_of_user=user)
        if user is not None or name.lower() in _NAMES:
            raise Refusal(400, "token_in_query", size=len(query))


def _owner(value: str, user_of: UserOfToken) -> int | None:
    credentials = parsed(value)
    token = value if credentials is None or credentials.token is None else credentials.token
    if len(token) < _SHORTEST:
        return None
    try:
        return user_of(token)
    except Unavailable:
        return None  # refused by its name, or not at all: it opens nothing now
