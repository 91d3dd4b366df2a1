"""Bearer tokens in `Authorization` (RFC 6750 §2.1): what stands there, and whether it opens an administrators' API.

The texts are authentik's, told with 403 (docs/compat.md, Bearer tokens).
"""

from typing import Final, NamedTuple, Protocol

from aiohttp import web

from shared.contracts.directory import TokenChanged
from shared.kernel.errors import SluiceError
from shared.web.app import CLIENT, GUESSES, suspect

NO_CREDENTIALS: Final = "Authentication credentials were not provided."
WRONG_SCHEME: Final = "Unsupported authentication type"
BAD_TOKEN: Final = "Token invalid/expired"  # noqa: S105 -- a text for people
NO_PERMISSION: Final = "You do not have permission to perform this action."


class Forbidden(SluiceError):
    """Who asks may not; `detail` is authentik's text for it."""

    code = "E_FORBIDDEN"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Tokens(Protocol):
    """Who a bearer token is (`shared.web.token_projection.TokenProjection`); `Unavailable` while nobody can know."""

    def owner(self, token: str) -> TokenChanged | None:
        """The token, if it is good."""
        ...

    def user_of(self, token: str) -> int | None:
        """The number of the user whose token this is, None for a token that is not good."""
        ...


class Credentials(NamedTuple):
    """What an `Authorization` header holds. `token` is None for another scheme than `Bearer`, which is read in any case."""

    text: str
    token: str | None


def parsed(authorization: str) -> Credentials | None:
    """The header taken apart at its first blank; None without one: a single word is no credentials (docs/compat.md, Bearer tokens)."""
    scheme, blank, rest = authorization.partition(" ")
    return Credentials(rest, rest if scheme.lower() == "bearer" else None) if blank else None


def credentials_of(request: web.Request) -> Credentials | None:
    """What the request's `Authorization` holds, None for nothing."""
    return parsed(request.headers.get("Authorization", ""))


def missed(request: web.Request, size: int) -> None:
    """Note a wrong token, with where it came from; `Refusal` 429 from an address that has guessed enough."""
    suspect(request, "token_invalid", size, address=request[CLIENT].address)
    count_guess(request)


def count_guess(request: web.Request) -> None:
    """Count a wrong token; `Refusal` 429 from an address that has guessed enough."""
    if GUESSES in request.app:
        request.app[GUESSES].missed(request[CLIENT].address)


def superuser_of(request: web.Request, tokens: Tokens) -> TokenChanged:
    """The superuser whose token the request carries; `Forbidden` for anybody else, `Unavailable` while nobody can know."""
    credentials = credentials_of(request)
    if credentials is None:
        raise Forbidden(NO_CREDENTIALS)
    if credentials.token is None:
        raise Forbidden(WRONG_SCHEME)
    found = tokens.owner(credentials.token)
    if found is None:
        missed(request, len(credentials.text))
        raise Forbidden(BAD_TOKEN)
    if not found.is_superuser:
        raise Forbidden(NO_PERMISSION)
    return found
