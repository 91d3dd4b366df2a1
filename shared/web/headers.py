"""The headers of every answer: nothing is kept, framed, sniffed or loaded unless an answer says otherwise."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import web

from shared.web.client import Client

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not `no-referrer`: browsers would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Server": "sluice",
    "Vary": "Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


def sendable(answer: web.StreamResponse) -> bool:
    """Whether each header is one line of ASCII (RFC 9110 §5.5), so that nothing in it can begin another or stop the sending.

    A place to go on to is spelled as a URL first (RFC 3986 §2.1): what came with a request may be in it.
    """
    if "Location" in answer.headers:
        answer.headers["Location"] = quote(answer.headers["Location"], safe=_PRINTABLE, errors="replace")
    return all(value.isascii() and value.replace("\t", " ").isprintable() for value in answer.headers.values())


class Hsts:
    """`Strict-Transport-Security` (RFC 6797): `max_age` in seconds, 0 for none; `subdomains`: for all names below as well."""

    def __init__(self, max_age: int = 0, *, subdomains: bool = False) -> None:
        self._line = (f"max-age={max_age}" + ("; includeSubDomains" if subdomains else "")) if max_age else ""

    def for_client(self, client: Client) -> str:
        """The header's value, "" for none: it means something over HTTPS only (RFC 6797 §7.2), and would follow a name like
        `localhost` to whatever is developed there next."""
        name = client.place.host
        return self._line if client.secure and name != "localhost" and not name.endswith(".localhost") else ""
