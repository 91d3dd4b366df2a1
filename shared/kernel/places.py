"""One notion of "the same place" for hosts, origins and base paths, however they are spelled.

`HTTP://Auth.Example.:80`, `http://auth.example` and `http://auth.example:80` are one place; so are a name in Unicode and
its punycode, and all spellings of an IPv6 address. Sources: RFC 6454 §4-6 (origins), RFC 9110 §7.2 and RFC 3986 §3.2.2
(authorities), UTS 46 (names).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, NamedTuple

import idna

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_HOST: Final = 255
_AUTHORITY = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[^\[\]:/?#@\\%\s\x00-\x20\x7f]{1,255})(?::(?P<port>[0-9]{0,5}))?\Z")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252})\Z")
_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,8}/?\Z")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]{1,300})/?\Z", re.IGNORECASE)


class Authority(NamedTuple):
    """A canonical host, and the port if one was written."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A scheme, a canonical host and a port: what browsers call an origin."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as a browser writes them: the port only where it is not the scheme's own."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def place(scheme: str, authority: Authority) -> Place:
    """The place that this authority is for a scheme, `http` or `https`.

    The other scheme's own port counts as this one's: where TLS ends before us, 80 is what an inner hop listens on, and
    nobody serves HTTPS there.
    """
    port = authority.port
    return Place(scheme, authority.host, DEFAULT_PORTS[scheme] if port is None or port in DEFAULT_PORTS.values() else port)


@lru_cache(maxsize=1024)
def authority_of(text: str) -> Authority | None:
    """The authority in a text such as `Host` has, None if it is none: no name, a port that cannot be, a user."""
    found = _AUTHORITY.match(text) if len(text) <= MAX_HOST + 6 else None
    if found is None:
        return None
    host = _host(found["name"])
    port = int(found["port"]) if found["port"] else None
    return None if host is None or (port is not None and not 0 < port < 65536) else Authority(host, port)


@lru_cache(maxsize=1024)
def place_of(origin: str) -> Place | None:
    """The place that an `Origin` names, None for `null` and whatever else is none."""
    found = _ORIGIN.match(origin)
    authority = authority_of(found["authority"]) if found else None
    return place(found["scheme"].lower(), authority) if found and authority else None


def readable_path(text: str) -> str | None:
    """A path such as `/auth` without its last slash, "" for the root; None for what somebody could read as more than that."""
    if text in ("", "/"):
        return ""
    return text.rstrip("/") if _PATH.match(text) else None


def named_host(asked: str, named: str) -> str:
    """The authority for an absolute link: the name that an administrator gave, if it can be a host's, unless the one asked for is
    that name or one below it. A made-up one, such as authentik's `authentik-default`, is no host's."""
    found, known = authority_of(asked), authority_of(named)
    if known is None or "." not in known.host:
        return asked
    is_known = found is not None and (found.host == known.host or found.host.endswith(f".{known.host}"))
    return asked if is_known else named


def _host(text: str) -> str | None:
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            return None
    name = text.lower() if text.isascii() else _punycode(text)
    if name is None:
        return None
    name = name.removesuffix(".")  # the root's dot (RFC 1034 §3.1)
    return name if _NAME.match(name) and not name.endswith(".") else None


def _punycode(text: str) -> str | None:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None
