"""Problem answers (RFC 9457): one shape for machines, one small page for people, neither with anything that was sent.

Beside the standard members an answer has `error`, a stable code, and `correlation_id`, which is the trace id in the
logs.
"""

import json
from html import escape
from typing import Final

from aiohttp import web

from shared.web import clearing
from shared.web.errors import TITLES, Refusal
from shared.web.headers import HEADERS

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><main><h1>{title}</h1><p>Error code: {error}</p><p>Reference: {correlation}</p>{more}</main></body></html>
"""


def problem(refusal: Refusal, correlation: str, *, page: bool = False, body: bool = True) -> web.Response:
    """The answer to a refused request: a page if the browser asked for one, else `application/problem+json`."""
    title = TITLES.get(refusal.status, "Error")
    if not body:
        answer = web.Response(status=refusal.status, content_type="text/html", charset="utf-8")
    elif page:
        form = clearing.form() if refusal.error in clearing.REASONS else ""
        more = "".join(f"<p>{escape(sentence)}</p>" for sentence in refusal.told) + form
        text = _PAGE.format(title=escape(title), error=escape(refusal.error), correlation=escape(correlation), more=more)
        answer = web.Response(status=refusal.status, text=text, content_type="text/html")
        if form:
            answer.headers["Content-Security-Policy"] = HEADERS["Content-Security-Policy"].replace(
                "form-action 'none'", "form-action 'self'"
            )
    else:
        members = {"type": "about:blank", "title": title, "status": refusal.status, "error": refusal.error, "correlation_id": correlation}
        answer = web.Response(status=refusal.status, text=json.dumps(members), content_type="application/problem+json")
    answer.headers.update(refusal.headers)
    for line in refusal.cookies:
        answer.headers.add("Set-Cookie", line)
    if refusal.close:
        answer.force_close()
    return answer


def wants_page(request: web.BaseRequest) -> bool:
    """Whether a person looks at this: `text/html` is named in `Accept`, and the path is not the API's."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")
