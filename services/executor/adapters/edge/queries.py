"""Query strings as the protocol reads and rebuilds them: form encoding, the last value of a repeated name (observed 21)."""

from typing import Final
from urllib.parse import parse_qsl, urlencode

from services.executor.adapters.edge.visits import plain
from shared.contracts.model import QUERY_MAX
from shared.web.errors import Refusal

MAX_FIELDS: Final = 100


def last_values(query: str) -> dict[str, str]:
    """Names and values of a query string, in the order in which the names first came."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refusal(400, "query_fields", size=len(query)) from None
    return {plain(name): plain(value) for name, value in pairs}


def rebuilt(path: str, query: str) -> str:
    """The path with this query as the server itself would write it."""
    values = last_values(query)
    return f"{path}?{urlencode(values)}" if values else path


def short(text: str) -> str:
    """A text that a message can carry; one that is too long says nothing (its `next` would be refused anyway)."""
    text = plain(text)
    return text if len(text) <= QUERY_MAX else ""


def outer_next(values: dict[str, str]) -> str | None:
    """The outer `next`, where a denial may go."""
    value = values.get("next")
    return None if value is None else short(value)
