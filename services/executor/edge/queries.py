"""Query strings as the protocol reads and rebuilds them: form encoding, the last value of a repeated name (observed 21)."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from services.executor.edge.visits import plain
from shared.contracts.model import QUERY_MAX
from shared.web.errors import Refusal

MAX_FIELDS: Final = 100
RUN: Final = "sluice_run"
"""What names its run in a page's URL, after its first answer: so that a reload keeps it (architecture §3)."""
_RUN: Final = re.compile(r"[A-Za-z0-9_-]{22}\Z")


def inner_and_run(query: str) -> tuple[str, str]:
    """A page's query without the name of its run, and that name, "" for none. The rest stays as it was sent."""
    parts = query.split("&") if query else []
    names = [part[len(RUN) + 1 :] for part in parts if part.startswith(f"{RUN}=")]
    inner = "&".join(part for part in parts if not part.startswith(f"{RUN}="))
    return inner, names[-1] if names and _RUN.match(names[-1]) else ""


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
