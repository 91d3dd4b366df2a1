"""Our cookies among others."""

import pytest

from shared.web.cookie_header import BadCookie, CookieTooLarge, TooManyCookies, line, read

NAME = "authentik_session"


def named(*headers: bytes) -> dict[str, tuple[str, ...]]:
    return read([(b"Cookie", header) for header in headers], (NAME,))


@pytest.mark.parametrize(
    "header", [b"", b"=x", b";", b"; ;", b"authentik_session", b"authentik_sessionx=1", b"AUTHENTIK_SESSION=1", b"authentik_session =1"]
)
def test_none_of_these_is_ours(header: bytes) -> None:
    assert named(header) == {}


@pytest.mark.parametrize("before", [b"a=b; bad[=x", b'q="a; b', b"a=\xff\xfe", b"=", b"a b=c", b"\x80=1", b'x="a\\073b"'])
def test_a_bad_neighbour_does_not_hide_ours(before: bytes) -> None:
    assert named(before + b"; authentik_session=z") == {NAME: ("z",)}


def test_values_are_bytes_as_sent() -> None:
    assert named(b'authentik_session="a\\073b"') == {NAME: ('"a\\073b"',)}
    assert named(b"authentik_session=a=b==") == {NAME: ("a=b==",)}


@pytest.mark.parametrize(
    ("headers", "values"),
    [
        ((b"authentik_session=a; authentik_session=b",), ("a", "b")),
        ((b"authentik_session=b", b"x=y; authentik_session=a"), ("b", "a")),
        ((b"authentik_session=a; authentik_session=a",), ("a",)),
        ((b"authentik_session=; authentik_session=a",), ("", "a")),
        ((b"authentik_session=\xe4; authentik_session=a",), ("a",)),
    ],
)
def test_all_values_of_a_name_are_handed_out(headers: tuple[bytes, ...], values: tuple[str, ...]) -> None:
    assert named(*headers) == {NAME: values}


@pytest.mark.parametrize("value", [b"\xc3\xa4", b"a\tb", b"a b"])
def test_bytes_that_no_cookie_may_have(value: bytes) -> None:
    with pytest.raises(BadCookie):
        named(b"authentik_session=" + value)


def test_fifty_cookies_are_too_many() -> None:
    assert named(b"; ".join(b"c%d=1" % n for n in range(49))) == {}
    with pytest.raises(TooManyCookies):
        named(b"; ".join(b"c%d=1" % n for n in range(50)))


@pytest.mark.parametrize("name", [b"authentik_session", b"somebody_elses"])
def test_a_cookie_has_4096_bytes_at_most(name: bytes) -> None:
    assert len(named(name + b"=" + b"a" * (4095 - len(name)))) == (name == NAME.encode())
    with pytest.raises(CookieTooLarge):
        named(b"a=b; " + name + b"=" + b"a" * 4097)


def test_lines() -> None:
    assert line("a", "b", secure=False) == "a=b; HttpOnly; Path=/; SameSite=Lax"
    assert line("a", "", secure=True, max_age=0, http_only=False) == (
        "a=; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; SameSite=Lax"
    )
