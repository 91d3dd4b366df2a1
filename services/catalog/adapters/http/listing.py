"""Lists: filters, search, order and pages of the query string. What is unknown is ignored (docs/compat.md, Lists)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, Literal, get_args, get_origin

from multidict import MultiMapping
from pydantic import BaseModel

from services.catalog.adapters.http.bodies import check_single
from services.catalog.domain.objects import Catalog, Definition
from services.catalog.domain.problems import Invalid
from services.catalog.domain.validation import is_uuid
from shared.contracts.catalog import ObjectKind
from shared.web.rest import Detailed

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
_NO_CHOICE: Final = "Select a valid choice. {} is not one of the available choices."


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind is listed: ids by parameter, fields searched, and the order when none is asked for.

    `filters`: the fields that one can filter by; None for all of them.
    """

    order: tuple[str, ...]
    filters: frozenset[str] | None = None
    searched: tuple[str, ...] = ()
    ids: Mapping[str, Callable[[Definition], str]] = field(default_factory=dict)
    references: Mapping[str, ObjectKind] = field(default_factory=dict)


def selected(
    catalog: Catalog, found: Sequence[Definition], listing: Listing, model: type[BaseModel], query: MultiMapping[str]
) -> list[Definition]:
    """Those that the query asks for, in its order; `Invalid` for values that the fields of their `model` cannot have."""
    check_single(query)
    asked = dict(query)
    problems = {name: text for name, value in asked.items() if value and (text := _problem(catalog, listing, model, name, value))}
    if problems:
        raise Invalid({name: [text] for name, text in problems.items()})
    out = [one for one in found if _passes(one, listing, asked)]
    term = asked.get("search", "").lower()
    if term:
        out = [one for one in out if any(term in str(one[name]).lower() for name in listing.searched)]
    for key in reversed((*asked.get("ordering", "").split(","), *listing.order)):
        name = key.removeprefix("-")
        if out and name in out[0].fields:
            # Fields of a kind have one type each, except that some may be empty.
            out.sort(key=lambda one, name=name: (one[name] is not None, one[name]), reverse=key.startswith("-"))  # type: ignore[misc]
    return out


def page(found: Sequence[Definition], query: MultiMapping[str], show: Callable[[Definition], Any]) -> dict[str, Any]:
    """One page in authentik's envelope; pages count from 1, 0 means that there is none."""
    size = _number(query.get("page_size", "")) or PAGE_SIZE
    size = min(size, MAX_PAGE_SIZE)
    pages = max(1, ceil(len(found) / size))
    asked = query.get("page", "1")
    current = pages if asked == "last" else _number(asked)
    if current is None or not 1 <= current <= pages:
        raise Detailed(404, "Invalid page.")
    start = (current - 1) * size
    shown = found[start : start + size]
    return {
        "pagination": {
            "next": current + 1 if current < pages else 0,
            "previous": current - 1,
            "count": len(found),
            "current": current,
            "total_pages": pages,
            "start_index": start + 1 if shown else 0,
            "end_index": start + len(shown),
        },
        "results": [show(one) for one in shown],
    }


def _passes(one: Definition, listing: Listing, asked: Mapping[str, str]) -> bool:
    for name, text in asked.items():
        if not text:  # an empty filter is none
            continue
        if name in listing.ids:
            if listing.ids[name](one) != text.lower():
                return False
        elif name in one.fields and _is_filter(listing, name) and not _matches(one[name], text):
            return False
    return True


def _is_filter(listing: Listing, name: str) -> bool:
    return listing.filters is None or name in listing.filters


def _matches(value: Any, text: str) -> bool:
    match value:
        case bool():
            return text.lower() not in ("true", "false") or text.lower() == str(value).lower()  # anything else asks nothing
        case list() | dict():
            return True
        case _:
            return str(value) == text


def _problem(catalog: Catalog, listing: Listing, model: type[BaseModel], name: str, text: str) -> str | None:
    """What is wrong with a filter's value, in the words of Django's filters."""
    if name in listing.ids:
        return None if is_uuid(text.lower()) else "Enter a valid UUID."
    kind = listing.references.get(name)
    if kind is not None:
        if not is_uuid(text.lower()):
            return f"“{text[:100]}” is not a valid UUID."
        return None if catalog.get(kind, text.lower()) else _NO_CHOICE.format("That choice")
    field = model.model_fields.get(name)
    if field is None or not _is_filter(listing, name):
        return None
    if get_origin(field.annotation) is Literal:
        return None if text in get_args(field.annotation) else _NO_CHOICE.format(text[:100])
    return "Enter a number." if field.annotation is int and _number(text.removeprefix("-")) is None else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
