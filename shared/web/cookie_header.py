"""Our cookies, read from the raw `Cookie` header (RFC 6265 §4.2.1): bytes compared, nothing unquoted, nobody else's judged.

Python's `SimpleCookie` drops all that follows a cookie it dislikes and rewrites quoted values, so a sibling site could
log people out. Another program may use our names on a parent domain: all values of a name are
handed out, and whoever made one knows it again.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from shared.kernel.errors import SluiceError

MAX_COOKIES: Final = 50
MAX_COOKIE: Final = 4096
"""Bytes of name, `=` and value: what browsers take of a server (RFC 6265 §6.1)."""
_PATH_SAFE: Final = "/:@!$&'()*+,=~"  # RFC 3986 §3.3, without `;` (RFC 6265 §4.1.1)
_PRINTABLE = re.compile(rb"[\x21-\x7e]*")


class BadCookie(SluiceError):
    """The only cookies of one of our names have bytes that no cookie may have (RFC 6265 §4.1.1)."""

    code = "cookie_bytes"


class TooManyCookies(SluiceError):
    """50 cookies or more."""

    code = "cookie_count"


class CookieTooLarge(SluiceError):
    """A cookie, whoever made it, of more than 4096 bytes: no browser of our time sends one that a server set."""

    code = "cookie_too_large"


Headers = Iterable[tuple[bytes, bytes]]


def read(headers: Headers, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The values of the named cookies that were sent, as and in the order in which they were sent, each once."""
    wanted = {name.encode(): name for name in names}
    found: dict[str, dict[bytes, None]] = {}
    count = 0
    for header, line in headers:
        if header.lower() != b"cookie":
            continue
        for pair in line.split(b";"):
            if len(pair) > MAX_COOKIE + 2:  # a blank on either side
                raise CookieTooLarge
            key, equals, value = pair.strip(b" \t").partition(b"=")
            count += bool(key)
            if equals and key in wanted:
                found.setdefault(wanted[key], {})[value] = None
    if count >= MAX_COOKIES:
        raise TooManyCookies
    return {name: _readable(values) for name, values in found.items()}


def _readable(values: Iterable[bytes]) -> tuple[str, ...]:
    good = tuple(value.decode("ascii") for value in values if _PRINTABLE.fullmatch(value))
    if not good:
        raise BadCookie
    return good


def line(
    name: str, value: str, *, path: str = "/", http_only: bool = True, secure: bool, same_site: str = "Lax", max_age: int | None = None
) -> str:
    """A `Set-Cookie` line; `max_age` in seconds, 0 deletes. The path is quoted: `;` in it would begin an attribute."""
    parts = [f"{name}={value}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if max_age == 0:
        parts.append("expires=Thu, 01 Jan 1970 00:00:00 GMT")
    if http_only:
        parts.append("HttpOnly")
    parts.append(f"Path={quote(path, safe=_PATH_SAFE, errors='replace')}")
    if secure:
        parts.append("Secure")
    parts.append(f"SameSite={same_site}")
    return "; ".join(parts)
