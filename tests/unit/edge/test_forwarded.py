"""The table of fronts: what real proxies write about a visitor, and what it says."""

from ipaddress import ip_address, ip_network

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from shared.web.forwarded import Said, Source, prefix_of, said

INNER = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8")))
Lines = tuple[tuple[str, str], ...]


def headers(lines: Lines) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(lines))


def heard(lines: Lines, source: Source = "auto") -> Said:
    return said(headers(lines), lambda address: any(address in network for network in INNER), source)


def xff(*values: str) -> Lines:
    return tuple(("X-Forwarded-For", value) for value in values)


def forwarded(*values: str) -> Lines:
    return tuple(("Forwarded", value) for value in values)


ADDRESSES: dict[str, tuple[Lines, str]] = {
    "nginx: $proxy_add_x_forwarded_for": (xff("203.0.113.9"), "203.0.113.9"),
    "nginx before nginx": (xff("203.0.113.9, 10.0.0.7"), "203.0.113.9"),
    "HAProxy: option forwardfor adds a line": (xff("198.51.100.1", "203.0.113.9"), "203.0.113.9"),
    "HAProxy: option forwarded": (forwarded("proto=http;for=203.0.113.9"), "203.0.113.9"),
    "HAProxy: option forwarded, IPv6 with port": (forwarded('by="[fd00::1]:443";for="[2001:db8::1]:60316"'), "2001:db8::1"),
    "Envoy: no blank after the comma": (xff("203.0.113.9,10.0.0.7"), "203.0.113.9"),
    "Traefik": (xff("203.0.113.9, 10.0.0.2"), "203.0.113.9"),
    "Caddy: IPv6 with a zone": (xff("fe80::1%eth0"), "fe80::1"),
    "AWS ALB: client port preserved": (xff("203.0.113.9:8080"), "203.0.113.9"),
    "AWS ALB: client port preserved, IPv6": (xff("[2001:db8:85a3:8d3:1319:8a2e:370:7348]:8080"), "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
    "no brackets, all eight groups and a port": (xff("2001:db8:85a3:8d3:1319:8a2e:370:7348:8080"), "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
    "Azure Application Gateway: address and port": (xff("203.0.113.9:5123, 10.1.2.3:42742"), "203.0.113.9"),
    "Cloudflare before nginx": (xff("203.0.113.9,10.0.0.1"), "203.0.113.9"),
    "brackets without a port": (xff("[2001:DB8::1]"), "2001:db8::1"),
    "brackets with a zone": (xff("[fe80::1%25eth0]:443"), "fe80::1"),
    "quoted": (xff('"[2001:db8::1]:443"'), "2001:db8::1"),
    "blanks and tabs": (xff(" \t203.0.113.9\t , 10.0.0.7 "), "203.0.113.9"),
    "empty entries": (xff("203.0.113.9,, 10.0.0.7,"), "203.0.113.9"),
    "an empty line and a full one": (xff("", "203.0.113.9"), "203.0.113.9"),
    "case of the name": ((("x-forwarded-FOR", "203.0.113.9"),), "203.0.113.9"),
    "IPv4 in IPv6": (xff("::ffff:203.0.113.9"), "203.0.113.9"),
    "IPv4 in IPv6, brackets and port": (xff("[::ffff:203.0.113.9]:80"), "203.0.113.9"),
    "an inner network's own visitor": (xff("10.0.0.9, 10.0.0.7"), "10.0.0.9"),
    "RFC 7239: several elements": (forwarded("for=203.0.113.9;proto=https, for=10.0.0.7"), "203.0.113.9"),
    "RFC 7239: several lines": (forwarded("for=203.0.113.9", "for=10.0.0.7"), "203.0.113.9"),
    "RFC 7239: case and blanks": (forwarded(' For = "203.0.113.9:47011" ; PROTO=https '), "203.0.113.9"),
    "RFC 7239: an obfuscated port": (forwarded('for="203.0.113.9:_gazonk"'), "203.0.113.9"),
    "RFC 7239: quoted pairs": (forwarded(r'for="203\.0\.113\.9"'), "203.0.113.9"),
    "RFC 7239: empty elements": (forwarded("for=203.0.113.9,, ;for=10.0.0.7"), "203.0.113.9"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_is_read_as_fronts_write_it(name: str) -> None:
    lines, address = ADDRESSES[name]
    found = heard(lines)
    assert (found.address, found.unread) == (ip_address(address), ())


UNREADABLE: dict[str, Lines] = {
    "empty": xff(""),
    "only blanks and commas": xff(" , ,", ""),
    "unknown": xff("unknown"),
    "unknown before a trusted hop": xff("unknown, 10.0.0.7"),
    "unknown behind what a stranger wrote": xff("6.6.6.6, unknown"),
    "unknown between a stranger's word and a trusted hop": xff("6.6.6.6, unknown, 10.0.0.7"),
    "a hidden name behind what a stranger wrote": xff("6.6.6.6", "_hidden"),
    "RFC 7239: unknown behind what a stranger wrote": forwarded("for=6.6.6.6, for=unknown, for=10.0.0.7"),
    "obfuscated": xff("_hidden"),
    "a name": xff("client.example"),
    "octal": xff("010.0.0.1"),
    "hexadecimal": xff("0x7f.1"),
    "short": xff("127.1"),
    "a number": xff("2130706433"),
    "too many groups": xff("1:2:3:4:5:6:7:8:9:10"),
    "a port that is none": xff("203.0.113.9:http"),
    "half a bracket": xff("[2001:db8::1"),
    "a network": xff("203.0.113.0/24"),
    "another header's form": xff("for=203.0.113.9"),
    "Unicode digits": xff("\u0661.2.3.4"),
    "bytes": xff("\udcff"),
    "long": xff("1" * 8000),
    "RFC 7239: unknown": forwarded("for=unknown"),
    "RFC 7239: obfuscated identifier": forwarded("for=_SEVKISEK;proto=https"),
    "RFC 7239: no quotes where they have to be": forwarded("for=[2001:db8::1]:443;x=y z"),
    "RFC 7239: a quote without end": forwarded('for="203.0.113.9'),
    "RFC 7239: nothing": forwarded(""),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_told_and_nobodys_address(name: str) -> None:
    found = heard(UNREADABLE[name])
    assert (found.address, found.unread) == (None, ("forwarded_for" if UNREADABLE[name][0][0].startswith("X") else "forwarded",))


def test_without_any_header_there_is_nothing_to_tell() -> None:
    assert heard(()) == Said()
    assert heard(forwarded("proto=https")) == Said(scheme="https")


def x(**values: str) -> Lines:
    return tuple((f"X-Forwarded-{name.capitalize()}", value) for name, value in values.items())


PLACES: dict[str, tuple[Lines, tuple[str | None, str | None, int | None]]] = {
    "one front": (x(proto="https", host="auth.example", port="443"), ("https", "auth.example", 443)),
    "in capitals": (x(proto="HTTPS ", host="AUTH.Example."), ("https", "auth.example", None)),
    "websocket": (x(proto="wss"), ("https", None, None)),
    "each appended": (x(**{"for": "203.0.113.9, 10.0.0.7"}, proto="https, http", host="a.example, b.internal", port="443,8080"), ("https", "a.example", 443)),
    "the inner one wrote over": (x(**{"for": "203.0.113.9, 10.0.0.7"}, proto="https", host="a.example"), ("https", "a.example", None)),
    "a stranger began the list": (x(**{"for": "6.6.6.6, 203.0.113.9"}, proto="https, http", host="evil.example, a.example"), ("http", "a.example", None)),
    "repeated lines": ((*x(proto="https"), *x(proto="http")), ("http", None, None)),
    "host with its port": (x(host="auth.example:8443"), (None, "auth.example", None)),
    "in Unicode": (x(host="jürgen.example"), (None, "xn--jrgen-kva.example", None)),
    "IPv6": (x(host="[2001:DB8:0::1]:8443"), (None, "[2001:db8::1]", None)),
    "RFC 7239": (forwarded('for=203.0.113.9;host="auth.example:8443";proto=https'), ("https", "auth.example", None)),
    "RFC 7239, a stranger's element first": (forwarded("host=evil.example;proto=https, for=203.0.113.9;proto=http"), ("http", None, None)),
    "RFC 7239, the outer one knows the scheme": (forwarded("for=203.0.113.9;proto=https, for=10.0.0.7"), ("https", None, None)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_scheme_host_and_port_are_those_that_the_outermost_trusted_front_saw(name: str) -> None:
    lines, wanted = PLACES[name]
    found = heard(lines)
    assert (found.scheme, found.authority and found.authority.host, found.port) == wanted
    assert found.unread == ()


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (x(proto="javascript"), "forwarded_proto"), (x(proto="https;"), "forwarded_proto"), (x(host="a@b"), "forwarded_host"),
        (x(host="a.example/x"), "forwarded_host"), (x(host="a b"), "forwarded_host"), (x(host="a.example:99999"), "forwarded_host"),
        (x(port="0"), "forwarded_port"), (x(port="https"), "forwarded_port"), (x(port="\u0664\u0664"), "forwarded_port"),
        (forwarded("host=a@b"), "forwarded"), (forwarded("proto=gopher"), "forwarded"),
    ],
)  # fmt: skip
def test_what_else_cannot_be_read_counts_as_not_said(lines: Lines, code: str) -> None:
    found = heard(lines)
    assert found == Said(unread=(code,))


def test_one_family_of_headers_counts() -> None:
    """A front writes one of them and lets a stranger's other one through."""
    both = (*xff("203.0.113.9"), *forwarded("for=6.6.6.6;host=evil.example;proto=https"))
    assert heard(both) == Said(address=ip_address("203.0.113.9"))
    assert heard((*xff("6.6.6.6"), *forwarded("for=203.0.113.9;proto=https")), "forwarded") == Said(ip_address("203.0.113.9"), "https")
    assert heard(forwarded("for=6.6.6.6"), "x-forwarded") == Said()


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        ((), ""), (("/auth",), "/auth"), (("/auth/",), "/auth"), (("/",), ""), (("",), ""), (("/a/b",), "/a/b"), (("/evil, /auth",), "/auth"),
        (("/evil", "/auth"), "/auth"), (("//evil.example",), None), (("/\\evil.example",), None), (("https://evil.example",), None),
        (("/a/../b",), None), (("/%2e%2e",), None), (("/a?b",), None), (("/a;b",), None), (("auth",), None), (("/a b",), None),
        (("/ä",), None), (("/" + "a" * 65,), None), (("/.",), None), (('/a"onx=',), None),
    ],
)  # fmt: skip
def test_a_prefix_is_a_plain_path_by_the_nearest_front(values: tuple[str, ...], prefix: str | None) -> None:
    assert prefix_of(headers(tuple(("X-Forwarded-Prefix", value) for value in values))) == prefix
