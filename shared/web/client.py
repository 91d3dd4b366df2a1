"""Who is at the other end: address, scheme, host and prefix of a request, and which proxies may say otherwise.

Without trusted proxies the connection is the only truth and forwarding headers are not read at all. What a trusted one
says is read as real proxies write it (`shared.web.forwarded`); what cannot be read is the connection's own value, and
told to the administrator, never a reason to turn a visitor away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web
from multidict import CIMultiDictProxy

from shared.kernel.places import Authority, Place, authority_of, place
from shared.web import forwarded
from shared.web.errors import Refusal
from shared.web.forwarded import Address, Said, Source, normal

Network = IPv4Network | IPv6Network

_TO_ADD = ("For the administrator: this host is not among those that are answered. If it should be, add it to SLUICE_ALLOWED_HOSTS.",)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from. `host` is the authority that the browser asked for, canonical, its port only if it is not the scheme's.

    `prefix` is the path under which the browser sees us, "" for the root. `peer` is who holds the connection, `fronted`
    says that it is a trusted proxy, `unread` has a code for each of its headers that says nothing.
    """

    address: str
    secure: bool
    host: str
    prefix: str = ""
    peer: str = ""
    fronted: bool = False
    unread: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Where our own pages are for this visitor."""
        scheme = "https" if self.secure else "http"
        return place(scheme, authority_of(self.host) or Authority(self.host, None))


class Clients:
    """Reads `Client`s.

    `trusted` are the networks of proxies, `source` which of their headers count; `hosts`, if any, are the only host names
    that are served, `path` is where the browser sees us, whatever a proxy says.
    """

    def __init__(self, trusted: Sequence[str] = (), hosts: Sequence[str] = (), *, source: Source = "auto", path: str = "") -> None:
        self._trusted = tuple(ip_network(one) for one in trusted)
        self._hosts = frozenset(found for one in hosts if (found := authority_of(one)))
        self._source: Source = source
        self._path = path

    def of(self, request: web.BaseRequest) -> Client:
        """The client of a request; `Refusal` for a host that is none or not ours."""
        peer = _peer(request)
        secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
        authority = _authority(request.headers)
        if peer is None or not self._is_trusted(peer):
            own = "" if peer is None else str(peer)
            return Client(own, secure, self._served(place(_scheme(secure), authority)), self._path, own)
        said = forwarded.said(request.headers, self._is_trusted, self._source)
        scheme = said.scheme or _scheme(secure)
        host = self._served(place(scheme, _seen(authority, said)))
        prefix, unread = self._prefix(request.headers)
        return Client(str(said.address or peer), scheme == "https", host, prefix, str(peer), True, said.unread + unread)

    def prefix(self, request: web.BaseRequest) -> str:
        """The path under which the browser of this request sees us."""
        if self._path or "X-Forwarded-Prefix" not in request.headers:
            return self._path
        peer = _peer(request)
        return self._prefix(request.headers)[0] if peer is not None and self._is_trusted(peer) else ""

    def _prefix(self, headers: CIMultiDictProxy[str]) -> tuple[str, tuple[str, ...]]:
        if self._path:
            return self._path, ()
        prefix = forwarded.prefix_of(headers)
        return ("", (forwarded.reason("X-Forwarded-Prefix"),)) if prefix is None else (prefix, ())

    def _served(self, asked: Place) -> str:
        if self._hosts and not self._hosts & {Authority(asked.host, None), Authority(asked.host, asked.port)}:
            facts = {"host": asked.authority, "change": "SLUICE_ALLOWED_HOSTS"}  # the canonical form: letters, digits and signs of names
            raise Refusal(421, "host_unknown", size=len(asked.host), facts=facts, told=_TO_ADD)
        return asked.authority

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self._trusted)


def _authority(headers: CIMultiDictProxy[str]) -> Authority:
    values = headers.getall("Host", [])
    if len(values) > 1:
        raise Refusal(400, "header_doubled", size=sum(map(len, values)))
    text = values[0] if values else ""
    found = authority_of(text)
    if found is None:
        raise Refusal(400, "host_malformed", size=len(text))
    return found


def _seen(own: Authority, said: Said) -> Authority:
    """The authority that the browser asked for: a port that stands with a host goes before one that stands alone."""
    host = said.authority or own
    return Authority(host.host, said.port) if host.port is None and said.port is not None else host


def _scheme(secure: bool) -> str:
    return "https" if secure else "http"


def _peer(request: web.BaseRequest) -> Address | None:
    remote = request.remote
    if not remote:
        return None  # a Unix socket has no address
    return _address(remote)


@lru_cache(maxsize=4096)
def _address(remote: str) -> Address:
    return normal(ip_address(remote.partition("%")[0]))
