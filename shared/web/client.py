"""Who is at the other end: address, scheme and host of a request, and which proxies may say otherwise.

Without trusted proxies the socket is the only truth and forwarding headers are not read at all. From a trusted peer
they are read strictly: what cannot be parsed is refused here, so that nothing behind has to (security reference 7.6).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web
from multidict import CIMultiDictProxy

from shared.web.errors import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?\Z")
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from. `host` is the authority that the browser asked for, in lower case, port included."""

    address: str
    secure: bool
    host: str

    @property
    def origin(self) -> str:
        """The origin (RFC 6454) that our own pages have for this visitor."""
        return f"{'https' if self.secure else 'http'}://{self.host}"


class Clients:
    """Reads `Client`s. `trusted` are the networks of proxies; `hosts`, if any, the only host names that are served."""

    def __init__(self, trusted: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        self._trusted = tuple(ip_network(one) for one in trusted)
        self._hosts = frozenset(one.lower() for one in hosts)

    def of(self, request: web.BaseRequest) -> Client:
        """The client of a request; `Refusal` for a host or forwarding headers that are malformed or not ours."""
        peer = _peer(request)
        secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
        host, address = _one(request.headers, "Host") or "", peer
        if peer is not None and self._is_trusted(peer):
            address = self._forwarded_for(peer, request.headers)
            secure = _forwarded_proto(request.headers, secure)
            host = _one(request.headers, "X-Forwarded-Host") or host
        return Client("" if address is None else str(address), secure, self._checked(host))

    def _checked(self, host: str) -> str:
        found = _HOST.match(host)
        if not found or (found[1] and not 0 < int(found[1]) < 65536):
            raise Refusal(400, "host_malformed", size=len(host))
        if self._hosts and host.lower() not in self._hosts and host.lower().rpartition(":")[0] not in self._hosts:
            raise Refusal(421, "host_unknown", size=len(host))
        return host.lower()

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self._trusted)

    def _forwarded_for(self, peer: Address, headers: CIMultiDictProxy[str]) -> Address:
        address = peer
        hops = [hop.strip(" \t") for line in headers.getall("X-Forwarded-For", []) for hop in line.split(",")]
        for hop in reversed(hops):
            address = _parsed(hop)
            if not self._is_trusted(address):
                break
        return address


def _one(headers: CIMultiDictProxy[str], name: str) -> str | None:
    values = headers.getall(name, [])
    if len(values) > 1:
        raise Refusal(400, "header_doubled", size=sum(map(len, values)))
    return values[0] if values else None


def _forwarded_proto(headers: CIMultiDictProxy[str], secure: bool) -> bool:
    match _one(headers, "X-Forwarded-Proto"):
        case None:
            return secure
        case "https":
            return True
        case "http":
            return False
        case other:
            raise Refusal(400, "forwarded_proto", size=len(other))


def _parsed(hop: str) -> Address:
    try:
        if "%" in hop:
            raise ValueError
        return normal(ip_address(hop))
    except ValueError:
        raise Refusal(400, "forwarded_for", size=len(hop)) from None


def normal(address: Address) -> Address:
    """An IPv4 address that came in IPv6 clothes (RFC 4291 §2.5.5.2, RFC 6052) as what it is, before any rule looks."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _peer(request: web.BaseRequest) -> Address | None:
    remote = request.remote
    if not remote:
        return None  # a Unix socket has no address
    return _address(remote)


@lru_cache(maxsize=4096)
def _address(remote: str) -> Address:
    return normal(ip_address(remote.partition("%")[0]))
