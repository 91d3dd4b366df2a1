"""Where `next` may lead: the value, and what becomes of it."""

import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.rules.destinations import Failed, Redirect, Refused, destination, outer_destination

HOME, OUT, INVALID, FAILED = Redirect("/"), Redirect("/", refused=True), Refused("Invalid next URL"), Failed()
ROWS = [
    ("/", HOME), ("/if/user/", Redirect("/if/user/")), ("https://evil.example/", INVALID), ("//evil.example", INVALID),
    ("///evil.example", OUT), ("////evil.example", OUT), ("/\\evil.example", OUT), ("\\\\evil.example", OUT),
    ("\\/evil.example", OUT), ("/\t/evil.example", INVALID), ("/\n/evil.example", INVALID), ("\t//evil.example", INVALID),
    (" //evil.example", INVALID), ("\x01//evil.example", INVALID), ("http:evil.example", OUT),
    ("http:\\\\evil.example", OUT), ("https:/evil.example", OUT), ("javascript:alert(1)", FAILED),
    ("JaVaScRiPt:alert(1)/.", FAILED), ("java\nscript:alert(1)//.", FAILED), ("\x01javascript:alert(1)//.", FAILED),
    ("data:text/html,x", FAILED), ("vbscript:x.y", FAILED), ("intent:a/b", FAILED), ("mailto:a@b.c", FAILED),
    ("https://auth.example.com@evil.example/", INVALID), ("https://evil.example\\@auth.example.com/", INVALID),
    ("127.1", OUT), ("evil\u3002example/", OUT), ("https://evil.example\u2100.auth.example.com/", FAILED),
    ("/\0/evil", OUT), ("//%65vil.example", INVALID), ("/%2f%2fevil.example", OUT), ("/%5cevil.example", OUT),
    ("/%09/evil", OUT), ("/%252f%252fevil.example", OUT), ("/..//evil.example", OUT), ("/.//evil", OUT),
    ("/if/../x", OUT), ("/a/..", OUT), ("/a/..;x/b", OUT), ("/%2e%2e/x", OUT), ("./\\evil.example", OUT),
    ("evil.example", OUT), ("../x", OUT), ("/path\r\nSet-Cookie: a=b", OUT), ("/%0d%0aSet-Cookie:x=1", OUT),
    ("\ufeff//evil", OUT), ("/\u2028/evil", OUT), ("/\uff0fevil", OUT), ("?next=//evil", OUT),
    ("?a=1", FAILED), ("#frag", FAILED), ("", INVALID), ("null", FAILED), ("/" + "a" * 4096, OUT),
    ("authentik_core:if-admin", Redirect("/if/admin/")), ("authentik_core:if-flow", FAILED), ("foo", FAILED),
    ("/a b", Redirect("/a%20b")), ("/\u00e4", Redirect("/%C3%A4")), ("/foo/bar?a=1&b=%2F", Redirect("/foo/bar?a=1&b=%2F")),
    ("/if/admin/#/x;%7B%7D", Redirect("/if/admin/#/x;%7B%7D")), ("/%zz", OUT), ("//[", FAILED),
    ("/" + "a" * 4095, Redirect("/" + "a" * 4095)), ("/a//b", Redirect("/a//b")), ("/a%2Fb", Redirect("/a%2Fb")),
    ("/project/%2Fgroup%2Fname//x/", Redirect("/project/%2Fgroup%2Fname//x/")), ("/proxy/https://inside/x", Redirect("/proxy/https://inside/x")),
    ("/a;b//c", Redirect("/a;b//c")), ("/a/%252f", Redirect("/a/%252f")), ("/;//evil.example", OUT),
    ("/%20//evil.example", OUT), ("/%3b//evil.example", OUT), ("/a/..%2f..%2f%2fevil", OUT),
    ("/a/%2e%2e/%2fevil", OUT), ("/a%5c%5cevil", OUT), ("/\u3000//evil", OUT), ("/.;a//evil", OUT),
    # What becomes another character in the form that some server makes of it, or cannot be seen in the address bar.
    ("/\uff3cevil.example", OUT), ("/\ufe68evil.example", OUT), ("/a/\uff3c\uff3cevil", OUT), ("/%ef%bc%bcevil", OUT),
    ("/a\u202egnp.exe", OUT), ("/if\u200b/user/", OUT), ("/a%e2%80%ae", OUT), ("/\ue000", OUT),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), ROWS)
def test_a_value(value: str, expected: object) -> None:
    assert destination("next=" + quote(value, safe="")) == expected


def test_without_next_it_is_home_and_the_last_of_several_counts() -> None:
    assert destination("") == HOME
    assert destination("Next=/a&next[]=/b") == HOME
    assert destination("next=/one&next=/two") == Redirect("/two")


@pytest.mark.parametrize(("value", "expected"), ROWS)
def test_a_denial_uses_the_same_values_and_never_fails(value: str, expected: object) -> None:
    assert outer_destination(value) == (expected.to if isinstance(expected, Redirect) else None)


def test_no_outer_next() -> None:
    assert outer_destination(None) is None


@given(st.text(max_size=60) | st.text(alphabet="/\\.:;%@?#2f5ce\t\n a", max_size=30))
def test_whatever_comes_it_stays_on_this_host(value: str) -> None:
    found = destination("next=" + quote(value, safe="", errors="replace"))
    if isinstance(found, Redirect):
        path = found.to.partition("#")[0].partition("?")[0]
        assert path.startswith("/")
        assert path.isascii()
        assert not path.startswith(("//", "/\\"))
        for _ in range(6):
            path = unicodedata.normalize("NFKC", unquote(path))
            assert not path.startswith("//")
            assert ".." not in path.split("/")
        assert not {"\r", "\n", "\t", "\\", " "} & set(found.to)
        assert len(found.to) <= 4096
