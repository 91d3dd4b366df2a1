"""Lists: filters, search, order and pages of the query string. What is unknown is ignored, as recorded (flow-engine 7.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from multidict import MultiMapping

from services.catalog.adapters.http.bodies import Stopped
from services.catalog.domain.definitions import Catalog, Definition
from services.catalog.domain.problems import Invalid
from services.catalog.domain.validation import is_uuid
from shared.contracts.catalog import ObjectKind

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
_NO_CHOICE: Final = "Select a valid choice. That choice is not one of the available choices."


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind is listed: ids by parameter, fields searched, and the order when none is asked for."""

    order: tuple[str, ...]
    searched: tuple[str, ...] = ()
    ids: Mapping[str, Callable[[Definition], str]] = field(default_factory=dict)
    references: Mapping[str, ObjectKind] = field(default_factory=dict)


def selected(catalog: Catalog, found: Sequence[Definition], listing: Listing, query: MultiMapping[str]) -> list[Definition]:
    """Those that the query asks for, in its order; `Invalid` for a reference that cannot be one."""
    doubled = sorted({name for name in query if len(query.getall(name)) > 1})
    if doubled:  # security reference 7.1, H34
        raise Invalid({doubled[0][:100]: ["Only one value is allowed."]})
    asked = dict(query)
    out = [one for one in found if _passes(one, listing, asked)]
    for name, kind in listing.references.items():
        if asked.get(name):
            _check_reference(catalog, name, kind, asked[name])
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
    current = _number(query.get("page", "1"))
    if current is None or not 1 <= current <= pages:
        raise Stopped(404, "Invalid page.")
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
        elif name in one.fields and not isinstance(one[name], list | dict) and _text(one[name]) != text:
            return False
    return True


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_reference(catalog: Catalog, name: str, kind: ObjectKind, text: str) -> None:
    if not is_uuid(text.lower()):
        raise Invalid({name: [f"“{text[:100]}” is not a valid UUID."]})
    if catalog.get(kind, text.lower()) is None:
        raise Invalid({name: [_NO_CHOICE]})


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
