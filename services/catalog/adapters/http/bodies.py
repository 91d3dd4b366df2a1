"""JSON in and out, as authentik's API reads and writes it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from multidict import MultiMapping

from services.catalog.domain.problems import Invalid, non_field
from shared.web.rest import JSON, doubled, json_object

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


NOT_FOUND: Final = "Not found."
_WARNINGS: Final = 10
_WARNING_LENGTH: Final = 500
_PLAIN: Final = " !\"#$&'()*+,/:;<=>?@[]^_`{|}~"
"""Printable ASCII but for the sign of percent-encoding: names are anybody's text."""


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer; None for 204, which has no body."""
    if status == 204:
        return web.Response(status=204)
    return web.Response(status=status, text=json.dumps(body, ensure_ascii=False), content_type=JSON, charset="utf-8")


async def fields_of(request: web.Request) -> Mapping[str, Any]:
    """The object in a request's body; an absent body is an empty one. `Detailed` or `Invalid` for anything else."""
    return await json_object(request, non_field)


def check_single(query: MultiMapping[str]) -> None:
    """`Invalid` for a parameter that comes twice: which of them would count?"""
    if (name := doubled(query)) is not None:
        raise Invalid({name[:100]: ["Only one value is allowed."]})


def flag(request: web.Request, name: str) -> bool:
    """A yes or no in the query, no where it is absent; `Invalid` for anything that is neither, or if a parameter comes twice."""
    check_single(request.query)
    given = request.query.get(name, "false").lower()
    if given not in _FLAGS:
        raise Invalid({name: ["Must be a valid boolean."]})
    return _FLAGS[given]


def warned(response: web.Response, warnings: Sequence[str]) -> web.Response:
    """The answer with a header `Sluice-Warning` for each sentence, percent-encoded but for what a header may hold; clients
    that do not know it lose nothing. What is beyond ten of them, or 500 characters, is left out."""
    for text in warnings[:_WARNINGS]:
        response.headers.add("Sluice-Warning", quote(text[:_WARNING_LENGTH], safe=_PLAIN))
    return response


def refused(refusal: Invalid) -> web.Response:
    """The answer to a body that makes no definition."""
    return answer(refusal.problems, 400)
