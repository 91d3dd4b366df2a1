"""Did a page of ours send this, or another site's? What the browser says of it is weighed by one table.

`Sec-Fetch-Site` (Fetch metadata) and `Origin` (RFC 6454 §7) are written by the browser and no page can change them. The first
compares what the browser itself sees; the second is compared with what *we* believe to be, which a front may have told us
wrongly. So an origin that looks foreign, or is hidden, does not outvote `same-origin` and a good token together, and nothing
outvotes `cross-site`. A token is asked for where neither header says by itself that a page of ours sent this: of many tabs'
forms only the newest fits the newest cookie.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from aiohttp import web

from shared.kernel.places import Place, place_of
from shared.web.client import Client
from shared.web.errors import Refusal


class Standing(StrEnum):
    """What the headers of a request say of who sent it."""

    OURS = "ours"
    """A page of ours: no token is needed."""
    UNPROVED = "unproved"
    """Nothing says that another site did: what another site cannot send has to prove it (a form's token, JSON)."""
    FOREIGN = "foreign"
    """Another site's page, or nobody can tell: refused, whatever token came with it."""


SAME, ABSENT, OPAQUE, OTHER = "same", "absent", "opaque", "other"
"""What `Origin` is: our own place, not sent, `null` (or no origin at all), another place."""

_OURS, _UNPROVED, _FOREIGN = Standing.OURS, Standing.UNPROVED, Standing.FOREIGN
TABLE: Final = MappingProxyType(
    {
        # Sec-Fetch-Site   Origin:  our own           not sent             null (privacy modes)   another
        "same-origin": {SAME: _OURS, ABSENT: _OURS, OPAQUE: _UNPROVED, OTHER: _UNPROVED},
        "none": {SAME: _OURS, ABSENT: _UNPROVED, OPAQUE: _UNPROVED, OTHER: _FOREIGN},
        # Plain HTTP, browsers before 2023, programs. A frame of another site in a sandbox sends `null` too.
        "": {SAME: _OURS, ABSENT: _UNPROVED, OPAQUE: _FOREIGN, OTHER: _FOREIGN},
        "same-site": {SAME: _FOREIGN, ABSENT: _FOREIGN, OPAQUE: _FOREIGN, OTHER: _FOREIGN},
        "cross-site": {SAME: _FOREIGN, ABSENT: _FOREIGN, OPAQUE: _FOREIGN, OTHER: _FOREIGN},
    }
)
"""The truth table: who sent a request that changes something."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request, as far as its headers say. `origin` is the place that the browser named, if it named one."""

    standing: Standing
    site: str
    kind: str
    origin: Place | None


def sender(request: web.BaseRequest, client: Client) -> Sender:
    """Weigh the headers of a request."""
    site = request.headers.get("Sec-Fetch-Site", "").strip().lower()
    text = request.headers.get("Origin")
    origin = None if text is None else place_of(text.strip())
    kind = ABSENT if text is None else OPAQUE if origin is None else SAME if origin == client.place else OTHER
    row = TABLE.get(site, TABLE[""])  # a word of a time to come says nothing
    return Sender(row[kind], site, kind, origin)


def accepted(found: Sender, *, token: bool) -> bool:
    """Whether a form is our own page's; `token`: its token is good, for this browser and session."""
    return found.standing is Standing.OURS or (found.standing is Standing.UNPROVED and token)


def refuse_foreign(request: web.BaseRequest, client: Client) -> Sender:
    """Who sent this request; `Refusal` if it was another site."""
    found = sender(request, client)
    if found.standing is Standing.FOREIGN:
        raise refusal(request, client, found)
    return found


def refusal(request: web.BaseRequest, client: Client, found: Sender) -> Refusal:
    """The answer to who may not send this: for people with the reason, in the log with both origins and what to change."""
    size = len(request.headers.get("Origin", ""))
    return Refusal(403, "foreign_origin", size=size, told=_told(client, found), facts=facts(client, found))


def facts(client: Client, found: Sender) -> dict[str, str | int]:
    """What the log says of a sender whose origin is not ours: places are canonical names, never what was sent."""
    change, _ = advice(client, found)
    seen = {"browser": str(found.origin or ("null" if found.kind == OPAQUE else "")), "ours": str(client.place)}
    return {**seen, "site": found.site if found.site in TABLE else "?", "connection": client.peer, **({"change": change} if change else {})}


def advice(client: Client, found: Sender) -> tuple[str, str]:
    """Which setting or header makes the browser's origin ours, and a sentence on it; two empty texts if none would."""
    if found.origin is None or found.site in ("cross-site", "same-site"):
        return "", ""
    theirs, ours = found.origin, client.place
    if theirs.host != ours.host:
        header, what = "X-Forwarded-Host", "host"
    elif theirs.scheme != ours.scheme:
        header, what = "X-Forwarded-Proto", "scheme"
    else:
        header, what = "X-Forwarded-Port", "port"
    if client.fronted:
        return header, f"The proxy before Sluice has to say the {what} that browsers see, in {header}."
    return "SLUICE_TRUSTED_PROXIES", (
        f"If there is a proxy before Sluice, its address belongs into SLUICE_TRUSTED_PROXIES, and it has to send {header}."
    )


def _told(client: Client, found: Sender) -> tuple[str, ...]:
    if found.site in ("cross-site", "same-site"):
        return ("Another site made your browser send this, so nothing was done.",)
    if found.kind == OPAQUE:
        return ("Your browser does not say which site sent this (a privacy setting or extension), so nothing was done.",)
    _, sentence = advice(client, found)
    return (
        f"Your browser says that this came from {found.origin}, and Sluice believes to be {client.place}, so nothing was done.",
        f"For the administrator: {sentence} The command `sluice doctor {found.origin}` says more.",
    )
