"""The way out for a browser whose cookies are too much: a page that offers to clear them.

Sibling sites can plant cookies until every request of a browser is refused, and most people do not know where a browser
keeps them. The form works with a head that is otherwise too large; another site cannot send it.
"""

from html import escape
from typing import Final

from aiohttp import web

from shared.web import forgery
from shared.web.base import ours
from shared.web.client import Client
from shared.web.errors import Refusal

PATH: Final = "/-/cookies/clear/"
REASONS: Final = frozenset({"cookie_count", "cookie_too_large", "headers_too_large"})
"""The refusals for which clearing may help."""


def form() -> str:
    """The form, for a page of ours."""
    return (
        f'<p>This browser sends more cookies than this site takes.</p><form method="post" action="{escape(ours(PATH))}">'
        "<button>Clear this site's cookies</button></form>"
        "<p>You will be logged out. If it does not help, delete this site's cookies in your browser's settings.</p>"
    )


def cleared(request: web.BaseRequest, client: Client) -> web.Response:
    """Have the browser forget all cookies of this site, and begin anew; `Refusal` unless our own page asked for it.

    Browsers heed `Clear-Site-Data` over HTTPS and on localhost only, and then drop sibling sites' cookies too.
    """
    if request.method != "POST":
        raise Refusal(405, "method_not_allowed", headers={"Allow": "POST"})
    found = forgery.sender(request, client)
    # The cookies that a token is bound to may be among those that are too many.
    if found.kind != forgery.SAME or found.site not in ("", "same-origin") or len(request.headers.getall("Origin")) > 1:
        raise forgery.refusal(request, client, found)
    return web.Response(status=303, headers={"Location": ours("/"), "Clear-Site-Data": '"cookies"'})
