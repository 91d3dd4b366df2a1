"""Pages from templates: plain forms, no script, everything escaped."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader

from services.executor.edge.files import STYLE
from shared.web.base import ours

_CSP: Final = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_NAMES: Final = {"username": "username", "email": "email address", "upn": "user principal name"}
_LABELS: Final = ("username", "email", "upn")


def names_of(fields: Sequence[str]) -> str:
    """What to call the field that takes any of these."""
    names = [_NAMES[one] for one in _LABELS if one in fields] or ["name"]
    text = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return text[0].upper() + text[1:]


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("services.executor.edge", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_ENVIRONMENT.globals.update(style=STYLE, names_of=names_of, ours=ours)


def page(template: str, status: int = 200, cookies: Sequence[str] = (), refresh: str = "", **values: Any) -> web.Response:
    """The answer with this page; `cookies` are `Set-Cookie` lines, `refresh` is where it goes on by itself, and after how many seconds."""
    text = _ENVIRONMENT.get_template(template).render(goes_on=bool(refresh), **values)
    headers = {"Content-Security-Policy": _CSP, **({"Refresh": refresh} if refresh else {})}
    answer = web.Response(status=status, text=text, content_type="text/html", headers=headers)
    for line in cookies:
        answer.headers.add("Set-Cookie", line)
    return answer
