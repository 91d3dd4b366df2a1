"""One place, many spellings."""

import pytest

from shared.kernel.places import Place, authority_of, named_host, place, place_of

AUTH = Place("https", "auth.example", 443)


@pytest.mark.parametrize(
    "origin",
    ["https://auth.example", "https://auth.example:443", "HTTPS://AUTH.Example", "https://auth.example.", "https://auth.example.:443", "https://auth.example:80"],
)  # fmt: skip
def test_one_origin_in_all_its_spellings(origin: str) -> None:
    assert place_of(origin) == AUTH
    assert str(AUTH) == "https://auth.example"


@pytest.mark.parametrize(
    "other",
    [
        "http://auth.example", "https://auth.example:8443", "https://auth.example.evil.example", "https://www.auth.example", "https://auth-example",
        "https://authexample", "https://example", "https://auth.example%2eevil", "https://xauth.example",
    ],
)  # fmt: skip
def test_what_only_looks_alike_is_another_place(other: str) -> None:
    assert place_of(other) != AUTH


@pytest.mark.parametrize(
    "nowhere",
    [
        "null", "", "https://", "https:///", "auth.example", "//auth.example", "ftp://auth.example", "javascript:alert(1)", "https://a@auth.example",
        "https://auth.example/path", "https://auth.example?x", "https://auth.example#x", "https://auth.example\\@evil", "https://auth.example:0",
        "https://auth.example:99999", "https://auth.example:x", "https://auth example", "https://auth.example..", "https://[::1", "https://[::1%25eth0]",
        "https://auth.example https://evil.example", "https://\udcff", "file://", "https://" + "a" * 300, "chrome-extension://abcdef",
    ],
)  # fmt: skip
def test_what_is_no_place(nowhere: str) -> None:
    assert place_of(nowhere) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://jürgen.example", "https://xn--jrgen-kva.example"), ("https://JÜRGEN.example.", "https://XN--JRGEN-KVA.example:443"),
        ("https://straße.example", "https://xn--strae-oqa.example"), ("https://münchen。example", "https://xn--mnchen-3ya.example"),
        ("https://[2001:db8::1]", "https://[2001:DB8:0:0:0:0:0:1]:443"), ("http://[::ffff:7f00:1]", "http://[::FFFF:127.0.0.1]:80"),
        ("http://localhost:9000", "HTTP://LOCALHOST:9000/"),
    ],
)  # fmt: skip
def test_names_in_unicode_and_addresses_in_all_forms(one: str, other: str) -> None:
    assert place_of(one) is not None
    assert place_of(one) == place_of(other)


def test_a_port_is_written_where_it_is_not_the_schemes_own() -> None:
    for text, scheme, written in (
        ("a:80", "http", "a"),
        ("a:443", "http", "a"),
        ("a:443", "https", "a"),
        ("a:8080", "http", "a:8080"),
        ("[::1]:9", "https", "[::1]:9"),
    ):
        authority = authority_of(text)
        assert authority is not None
        assert place(scheme, authority).authority == written


@pytest.mark.parametrize(
    ("asked", "named", "written"),
    [
        ("login.example", "login.example", "login.example"), ("eu.login.example:8443", "login.example", "eu.login.example:8443"),
        ("evil.example", "login.example", "login.example"), ("login.example.evil", "login.example", "login.example"),
        ("evillogin.example", "login.example", "login.example"), ("any.example", "authentik-default", "any.example"), ("any.example", "", "any.example"),
        ("localhost:9000", "localhost", "localhost:9000"), ("any.example", "not a host", "any.example"),
    ],
)  # fmt: skip
def test_a_link_names_a_host_that_an_administrator_named(asked: str, named: str, written: str) -> None:
    assert named_host(asked, named) == written
