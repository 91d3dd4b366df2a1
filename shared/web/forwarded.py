"""What proxies say of the visitor, as real ones write it: `X-Forwarded-*`, and RFC 7239 `Forwarded` where there is none.

A proxy appends what it saw to the right of what it was given, so only the right-hand end of a list is known to be a
trusted proxy's; a stranger may have written all the rest. Nothing here refuses: what cannot be read is named in
`Said.unread`, and the connection's own values count instead.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Literal, TypeVar

from multidict import CIMultiDictProxy

from shared.kernel.places import Authority, authority_of, readable_path

Address = IPv4Address | IPv6Address
T = TypeVar("T")
Source = Literal["auto", "x-forwarded", "forwarded"]
"""Which headers count: `auto` is X-Forwarded-* if there is any of them, else `Forwarded`."""

_X: Final = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port")
FORWARDING: Final = (*_X, "X-Forwarded-Prefix", "Forwarded")
"""All headers by which a front speaks of its visitors."""
_SCHEMES: Final = {"https": "https", "http": "http", "wss": "https", "ws": "http"}
_PORT: Final = r"(?::(?:[0-9]{0,5}|_[A-Za-z0-9._-]{1,64}))?"
_V4 = re.compile(rf"([0-9.]{{7,15}}){_PORT}\Z")
_BRACKETED = re.compile(rf"\[([0-9A-Fa-f:.]{{2,45}})(?:%[^\]\s]{{0,64}})?\]{_PORT}\Z")
_BARE = re.compile(r"([0-9A-Fa-f:.]{2,45})(?:%[^\s:]{1,64})?\Z")
_EIGHT_AND_PORT = re.compile(r"((?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}):[0-9]{1,5}\Z")
_NAT64 = ip_network("64:ff9b::/96")
_PAIR = re.compile(
    r'[ \t]*(?P<name>[!#$%&\'*+.^_`|~0-9A-Za-z-]{1,32})[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<token>[^";, \t]*+))'
)


@dataclass(frozen=True, slots=True)
class Said:
    """What trusted proxies said; None for what they did not say. `unread` are codes, one for each header that says nothing."""

    address: Address | None = None
    scheme: str | None = None
    authority: Authority | None = None
    port: int | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Lists:
    """What the headers hold, one entry a proxy, the one nearest to us last; `headers` are those that say it.

    `addresses` is None where nobody speaks of any, which is no reason to tell anybody.
    """

    headers: tuple[str, str, str, str]
    addresses: tuple[str, ...] | None
    schemes: tuple[str, ...]
    hosts: tuple[str, ...]
    ports: tuple[str, ...]


def said(headers: CIMultiDictProxy[str], is_trusted: Callable[[Address], bool], source: Source = "auto") -> Said:
    """What the proxies said from whose nearest one, which is trusted, these headers came."""
    use_x = source == "x-forwarded" or (source == "auto" and any(name in headers for name in _X))
    lists = _x_forwarded(headers) if use_x else _forwarded(headers)
    unread: list[str] = []
    address, trusted = _walked(lists, is_trusted, unread)

    def read(values: tuple[str, ...], parse: Callable[[str], T | None], header: str) -> T | None:
        # As far to the left as trusted proxies wrote; who writes over instead of appending leaves a shorter list.
        text = next(filter(None, values[-trusted:]), None)
        parsed = None if text is None else parse(text)
        if text is not None and parsed is None:
            unread.append(reason(header))
        return parsed

    _, proto, host, number = lists.headers
    scheme = read(lists.schemes, lambda text: _SCHEMES.get(text.lower()), proto)
    authority, port = read(lists.hosts, authority_of, host), read(lists.ports, _port, number)
    return Said(address, scheme, authority, port, tuple(dict.fromkeys(unread)))


def reason(header: str) -> str:
    """The class of the security record on a header that says nothing."""
    match header:
        case "X-Forwarded-For":
            return "forwarded_for"
        case "X-Forwarded-Proto":
            return "forwarded_proto"
        case "X-Forwarded-Host":
            return "forwarded_host"
        case "X-Forwarded-Port":
            return "forwarded_port"
        case "X-Forwarded-Prefix":
            return "forwarded_prefix"
        case _:
            return "forwarded"


def prefix_of(headers: CIMultiDictProxy[str]) -> str | None:
    """The path under which a trusted proxy serves us (`X-Forwarded-Prefix`), "" for none; None for one that is no plain path."""
    values = _listed(headers, "X-Forwarded-Prefix")
    return readable_path(values[-1]) if values else ""


def _x_forwarded(headers: CIMultiDictProxy[str]) -> _Lists:
    addresses, *others = (_listed(headers, name) for name in _X)
    schemes, hosts, ports = (one or () for one in others)
    return _Lists(_X, addresses, schemes, hosts, ports)


def _listed(headers: CIMultiDictProxy[str], name: str) -> tuple[str, ...] | None:
    """All entries of a list header, repeated lines as one (RFC 9110 §5.3), empty entries left out; None without the header."""
    lines = headers.getall(name, None)
    if lines is None:
        return None
    return tuple(entry for line in lines for part in line.split(",") if (entry := _unquoted(part.strip(" \t"))))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _forwarded(headers: CIMultiDictProxy[str]) -> _Lists:
    lines = headers.getall("Forwarded", None)
    elements = _elements(", ".join(lines)) if lines else []
    addresses, schemes, hosts = (tuple(one.get(key, "") for one in elements) for key in ("for", "proto", "host"))
    speaks = lines is not None and (not elements or any(addresses))
    return _Lists(("Forwarded",) * 4, addresses if speaks else None, schemes, hosts, ())


def _elements(text: str) -> list[dict[str, str]]:
    """RFC 7239 §4: pairs in elements, names in any case, values as tokens or quoted; empty as a whole for anything else."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is not None:
            value = re.sub(r"\\(.)", r"\1", found["quoted"]) if found["quoted"] is not None else found["token"]
            elements[-1].setdefault(found["name"].lower(), value)
            at = found.end()
        at = _blanks(text, at)
        if at == len(text):
            break
        if text[at] not in ",;":
            return []
        if text[at] == "," and elements[-1]:
            elements.append({})
        at += 1
    return [one for one in elements if one]


def _blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _walked(lists: _Lists, is_trusted: Callable[[Address], bool], unread: list[str]) -> tuple[Address | None, int]:
    """The right-most address that is no trusted proxy's, and how many entries trusted proxies have written; at least one."""
    found: Address | None = None
    for count, entry in enumerate(reversed(lists.addresses or ()), 1):
        found = address_of(entry)
        if found is None:
            unread.append(reason(lists.headers[0]))
            return None, count
        if not is_trusted(found):
            return found, count
    if lists.addresses == ():
        unread.append(reason(lists.headers[0]))
    return found, len(lists.addresses or ()) or 1


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536 else None


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """The address of a hop: with or without port, brackets, zone; None for `unknown`, `_hidden` and all that is no address."""
    found = _V4.match(text) or _BRACKETED.match(text) or _EIGHT_AND_PORT.match(text) or _BARE.match(text)
    if found is None:
        return None
    try:
        return normal(ip_address(found[1]))
    except ValueError:
        return None


def normal(address: Address) -> Address:
    """An IPv4 address that came in IPv6 clothes (RFC 4291 §2.5.5.2, RFC 6052) as what it is, before any rule looks."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
