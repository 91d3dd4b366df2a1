"""Our cookies, read from the raw `Cookie` header (RFC 6265 §4.2.1): bytes compared, nothing unquoted, nobody else's judged.

Python's `SimpleCookie` drops all that follows a cookie it dislikes and rewrites quoted values, so a sibling site could
log people out (security reference 7.7, C3-C5).
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


class DoubledCookie(SluiceError):
    """Two cookies of our name: one was planted by somebody else, and nobody can tell which. Clear both."""

    code = "cookie_doubled"

    def __init__(self, name: str) -> None:
        super().__init__("two cookies of one name")
        self.name = name


class BadCookie(SluiceError):
    """A cookie of ours with bytes that no cookie may have (RFC 6265 §4.1.1)."""

    code = "cookie_bytes"


class TooManyCookies(SluiceError):
    """50 cookies or more."""

    code = "cookie_count"


class CookieTooLarge(SluiceError):
    """A cookie, whoever made it, of more than 4096 bytes: no browser of our time sends one that a server set."""

    code = "cookie_too_large"


Headers = Iterable[tuple[bytes, bytes]]


def read(headers: Headers, names: Iterable[str]) -> dict[str, str]:
    """The values of the named cookies that were sent, as they were sent."""
    wanted = {name.encode(): name for name in names}
    found: dict[str, str] = {}
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
                _take(found, wanted[key], value)
    if count >= MAX_COOKIES:
        raise TooManyCookies
    return found


def _take(found: dict[str, str], name: str, value: bytes) -> None:
    if name in found:
        raise DoubledCookie(name)
    if not _PRINTABLE.fullmatch(value):
        raise BadCookie
    found[name] = value.decode("ascii")


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
