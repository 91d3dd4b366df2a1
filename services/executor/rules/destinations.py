"""Where a browser goes at the end of a flow: `next`, and why most of what people put there goes nowhere.

Two rules meet here. What authentik 2024.8.3 refuses stays refused the way it was recorded (`Invalid next URL`, or a flow
error). What it lets through must also be a *path* that every browser and gateway keeps on this host; if it is not, the
browser goes to `/`, because a log-in that succeeded should not end in an error page.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

DEFAULT: Final = "/"
INVALID: Final = "Invalid next URL"
MAX_BYTES: Final = 4096
AFTER_CANCEL: Final = "/flows/-/default/invalidation/"
"""Where `/flows/-/cancel/` goes by itself (recorded in `invalidation`)."""

ROUTES: Final = {
    "authentik_core:root-redirect": "/",
    "authentik_core:if-user": "/if/user/",
    "authentik_core:if-admin": "/if/admin/",
}
"""Route names that work as `next` (docs/compat.md, Where a flow ends)."""

_IRI_SAFE: Final = "/#%[]=:;$&()+,!?*@'~"  # RFC 3987 §3.1: what stays as it is when the rest is percent-encoded
_PATH = re.compile(r"/(?:[A-Za-z0-9_.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*\Z")
_REST = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})*\Z")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ENCODED = re.compile(r"%(?:5c|2e|[01][0-9a-f]|7f)", re.IGNORECASE)
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Redirect:
    """The browser goes there. `refused`: because where it was to go is not ours, or could be taken for another place."""

    to: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The run is denied with this message."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ends in a flow error."""


Destination = Redirect | Refused | Failed


def destination(query: str) -> Destination:
    """Where a finished run goes, by its inner query. Of several `next` the last counts, as recorded."""
    value = _next_of(query)
    if value is None:
        return Redirect(DEFAULT)
    if not value:
        return Refused(INVALID)
    try:
        parts = urlsplit(value)
    except ValueError:
        return Failed()
    if parts.netloc:
        return Refused(INVALID)
    if value in ROUTES:
        return Redirect(ROUTES[value])
    if ("/" not in value and "." not in value) or parts.scheme not in ("", "http", "https", "ftp"):
        return Failed()
    path = _path(value)
    return Redirect(DEFAULT, refused=True) if path is None else Redirect(path)


def inner_destination(query: str) -> str | None:
    """Where a denial that continues goes by the inner `next`; None if it names nothing that can be used."""
    return outer_destination(_next_of(query))


def outer_destination(value: str | None) -> str | None:
    """Where a denial with a usable outer `next` goes (docs/compat.md, A flow without a plan); None if there is none to use.

    An absolute value counts as missing. So does one that authentik fails on: a denial must not fail.
    """
    if not value:
        return None
    match destination(f"next={quote(value, safe='')}"):
        case Redirect(to):
            return to
        case _:
            return None


def _next_of(query: str) -> str | None:
    """The last `next` of a query string, None without one."""
    found = [value for name, value in parse_qsl(query, keep_blank_values=True, errors="replace") if name == "next"]
    return found[-1] if found else None


def _path(value: str) -> str | None:
    """The value, encoded, if it is a path that every browser and gateway keeps on this host."""
    encoded = quote(value, safe=_IRI_SAFE)
    path, mark, fragment = encoded.partition("#")
    path, question, query = path.partition("?")
    if len(encoded) > MAX_BYTES or not _PATH.match(path) or not _REST.match(query) or not _REST.match(fragment):
        return None
    if _hides_something(path):
        return None
    return path + question + query + mark + fragment


def _hides_something(path: str) -> bool:
    """Whether the path, decoded as often as anybody on the way might decode it, is more than it seems."""
    if _bad_segments(path):
        return True
    for _ in range(_ROUNDS):
        if _ENCODED.search(path):
            return True
        try:
            decoded = unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return True
        if decoded == path:
            return False
        folded = unicodedata.normalize("NFKC", decoded)
        if _bad_segments(folded) or "\\" in folded or any(unicodedata.category(c) in _HIDDEN for c in decoded):
            return True
        path = decoded
    return True


def _bad_segments(path: str) -> bool:
    """Two slashes at the front begin a host; behind a first segment they are a path's own, as is an encoded slash."""
    # `..;x` is a `..` with a parameter to some servers behind us (RFC 3986 §3.3).
    first, *rest = (segment.partition(";")[0].strip() for segment in path.split("/")[1:])
    return (not first and bool(rest)) or any(segment in (".", "..") for segment in (first, *rest))
