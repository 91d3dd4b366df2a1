"""The JSON object in a request's body, with the statuses and texts of Django REST framework that authentik answers."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from shared.web import strict_json
from shared.web.app import body_of, suspect

JSON: Final = "application/json"


async def json_object(
    request: web.Request, answered: Callable[[int, str], Exception], wrong: Callable[[str], Exception]
) -> Mapping[str, Any]:
    """The object; an absent body is an empty one. Else it raises what these make: `answered` of a status and a detail for what is no
    JSON, `wrong` of a text for JSON that is no object."""
    raw = await body_of(request)
    if not raw:
        return {}
    if request.content_type != JSON or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        suspect(request, "content_type", len(raw))
        shown = request.headers.get("Content-Type", "")[:100]
        raise answered(415, f'Unsupported media type "{shown}" in request.')
    try:
        value = strict_json.parse(raw)
    except strict_json.BadJson as bad:
        suspect(request, bad.code, len(raw))
        raise answered(400, f"JSON parse error - {strict_json.explained(bad, raw)}") from None
    if value is None:
        raise wrong("No data provided")
    if not isinstance(value, dict):
        raise wrong(f"Invalid data. Expected a dictionary, but got {type(value).__name__}.")
    return value
