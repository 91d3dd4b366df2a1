"""Readers of strangers' bytes that stand within something larger, each as a function of one text, for `cost.Case`."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from services.catalog.adapters.http.listing import Listing, selected
from services.catalog.domain.blueprints import document
from services.executor.edge import api, forms, queries, visits
from services.executor.edge.cookies import COMMAND, STEP, Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.settings import EdgeSettings
from services.executor.rules.destinations import destination, outer_destination
from services.executor.sessions.views import title_of
from shared.contracts import wire
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.steps import CODEC
from shared.flows.fields import Invalid
from shared.flows.registry import registry
from shared.kernel.errors import SluiceError
from shared.messaging.log import Record
from shared.web import bearer, cookie_header, problems, query_tokens, strict_json
from shared.web.client import Clients
from shared.web.limits import Limits
from tests.unit.executor.world import flow

_SETTINGS = EdgeSettings(secrets=(b"s" * 32,))
_COOKIES, _CSRF = Cookies(_SETTINGS), Csrf(_SETTINGS.secrets)
_NO_LIMIT = Limits(target=2**40, headers_size=2**40, headers=2**40)


def explained(raw: bytes) -> str:
    """What the administrators' API says of a bad document: it reads it a second time."""
    try:
        strict_json.parse(raw)
    except strict_json.BadJson as bad:
        return strict_json.explained(bad, raw)
    return ""


def form(raw: bytes) -> object:
    return forms.parsed(raw, forms.MEDIA_TYPE)


def multipart(raw: bytes) -> object:
    return forms.parsed(raw, "multipart/form-data")


def cookie(raw: bytes) -> object:
    return cookie_header.read([(b"Cookie", raw)], ("authentik_session", STEP, COMMAND))


def our_cookies(text: str) -> object:
    return _COOKIES._opened(text), _COOKIES.shown(text, "03." + "s" * 22, "f"), _CSRF.is_for(text, None), _CSRF.form_is_for(text, "a", "b")


def query(text: str) -> object:
    values = queries.last_values(text)
    return queries.rebuilt("/", text), queries.outer_next(values)


def next_of_query(text: str) -> object:
    return destination(queries.short(text))


_TRUSTING = Clients(trusted=("192.0.2.0/24", "0.0.0.0/0", "::/0"))


def outer_next(text: str) -> object:
    return outer_destination(text.removeprefix("next="))


def _request(query: str = "", **headers: str) -> web.Request:
    """A request from a trusted front whose headers and query have come past the socket's reader, which bounds them."""
    request = make_mocked_request("GET", "/", headers={"Host": "a", **headers})
    request._rel_url = URL.build(path="/", query_string=query, encoded=True)
    return request.clone(remote="192.0.2.1")


def token_in_query(text: str) -> None:
    query_tokens.refuse(_request(text), lambda token: None)


def authorization(text: str) -> object:
    return bearer.credentials_of(_request(Authorization=text))


def accept(text: str) -> None:
    request = _request(Accept=text)
    problems.wants_page(request)
    api._check_accept(request)


def fetch_metadata(text: str) -> object:
    names = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
    return visits._unasked(_request(**dict.fromkeys(names, text)))


def agent(text: str) -> object:
    return visits.plain(text)


def forwarded(text: str) -> object:
    names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "X-Forwarded-Prefix")
    return [_tried(partial(_TRUSTING.of, _request(**{name: text}))) for name in names]


def host(text: str) -> object:
    return Clients(hosts=("a.example",)).of(_request(Host=text)), Clients().of(_request(Host=text))


def limits(text: str) -> None:
    _NO_LIMIT.check(_request(**{f"X-{n}": text[:100] for n in range(min(len(text) // 100, 50))}, X=text))


def title(text: str) -> object:
    return title_of(flow("f").model_copy(update={"title": text}), "alice")


def answer(text: str) -> object:
    return [_tried(partial(field.clean, text)) for kind in registry().stages.values() for field in kind.fields.values()]


def record(raw: bytes) -> object:
    return wire.unpack(raw, 2**40)


def step_record(raw: bytes) -> object:
    headers = to_headers(Envelope("i", "executor.step.requested", 1, "test", "s", 1))
    return CODEC.decode(Record("executor.steps", 0, 0, 0, b"s", raw, headers), 2**40)


def blueprint(raw: bytes) -> object:
    return document.parse(raw, "f")


def listing_query(text: str) -> object:
    asked = URL.build(path="/", query_string=text, encoded=True).query
    return selected(cast("Any", None), [], Listing(()), registry().stages["dummy"].config, asked)


def _tried(run: Callable[[], object]) -> object:
    """One of several readers of a text: its refusal must not keep the text from the next."""
    try:
        return run()
    except (SluiceError, Invalid):
        return None
