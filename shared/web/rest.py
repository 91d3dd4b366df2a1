"""What a request to authentik's REST API may be, with the statuses and texts of Django REST framework that it answers."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from shared.kernel.errors import SluiceError
from shared.web import strict_json
from shared.web.app import body_of, suspect

JSON: Final = "application/json"


class Detailed(SluiceError):
    """A request that gets `{"detail": …}` with this status."""

    code = "E_API"

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def doubled(query: MultiMapping[str]) -> str | None:
    """A parameter that comes twice, if one does: which of them would count?"""
    # Over its items, where a name comes as often as it was sent: over its names it comes once.
    return min((name for name, times in Counter(name for name, _ in query.items()).items() if times > 1), default=None)


async def json_object(request: web.Request, wrong: Callable[[str], Exception]) -> Mapping[str, Any]:
    """The object in a request's body; an absent one is empty. `Detailed` for what is no JSON; of JSON that is no object, what `wrong`
    makes of a text."""
    raw = await body_of(request)
    if not raw:
        return {}
    if request.content_type != JSON or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        suspect(request, "content_type", len(raw))
        shown = request.headers.get("Content-Type", "")[:100]
        raise Detailed(415, f'Unsupported media type "{shown}" in request.')
    try:
        value = strict_json.parse(raw)
    except strict_json.BadJson as bad:
        suspect(request, bad.code, len(raw))
        raise Detailed(400, f"JSON parse error - {strict_json.explained(bad, raw)}") from None
    if value is None:
        raise wrong("No data provided")
    if not isinstance(value, dict):
        raise wrong(f"Invalid data. Expected a dictionary, but got {type(value).__name__}.")
    return value
