"""Who may use the catalog's API: a superuser with a bearer token; every refusal is 403, as authentik's (flow-engine 7.1)."""

from typing import Final

from aiohttp import web

from services.catalog.adapters.http.bodies import Stopped
from services.catalog.application.ports import Tokens

NO_CREDENTIALS: Final = "Authentication credentials were not provided."
NO_PERMISSION: Final = "You do not have permission to perform this action."
WRONG_SCHEME: Final = "Unsupported authentication type"
BAD_TOKEN: Final = "Token invalid/expired"  # noqa: S105 -- a text for people


def actor_of(request: web.Request, tokens: Tokens) -> str:
    """The name of the superuser who asks; `Stopped` with 403 for anybody else."""
    header = request.headers.get("Authorization", "")
    scheme, space, _ = header.partition(" ")
    if not space:
        raise Stopped(403, NO_CREDENTIALS)
    if scheme.lower() != "bearer":
        raise Stopped(403, WRONG_SCHEME)
    token = tokens.identify(header)
    if token is None or not token.is_active:
        raise Stopped(403, BAD_TOKEN)
    if not token.is_superuser:
        raise Stopped(403, NO_PERMISSION)
    return token.username
