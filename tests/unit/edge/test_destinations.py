"""Where `next` may lead (security reference 7.5): the row, the value, and what becomes of it."""

import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.domain.destinations import Failed, Redirect, Refused, destination, outer_destination

HOME, OUT, INVALID, FAILED = Redirect("/"), Redirect("/", refused=True), Refused("Invalid next URL"), Failed()
ROWS = [
    ("N1", "/", HOME), ("N1", "/if/user/", Redirect("/if/user/")), ("N2", "https://evil.example/", INVALID), ("N2", "//evil.example", INVALID),
    ("N3", "///evil.example", OUT), ("N3", "////evil.example", OUT), ("N4", "/\\evil.example", OUT), ("N4", "\\\\evil.example", OUT),
    ("N4", "\\/evil.example", OUT), ("N5", "/\t/evil.example", INVALID), ("N5", "/\n/evil.example", INVALID), ("N5", "\t//evil.example", INVALID),
    ("N6", " //evil.example", INVALID), ("N6", "\x01//evil.example", INVALID), ("N7", "http:evil.example", OUT),
    ("N7", "http:\\\\evil.example", OUT), ("N8", "https:/evil.example", OUT), ("N9", "javascript:alert(1)", FAILED),
    ("N9", "JaVaScRiPt:alert(1)/.", FAILED), ("N9", "java\nscript:alert(1)//.", FAILED), ("N9", "\x01javascript:alert(1)//.", FAILED),
    ("N10", "data:text/html,x", FAILED), ("N10", "vbscript:x.y", FAILED), ("N10", "intent:a/b", FAILED), ("N10", "mailto:a@b.c", FAILED),
    ("N11", "https://auth.example.com@evil.example/", INVALID), ("N14", "https://evil.example\\@auth.example.com/", INVALID),
    ("N18", "127.1", OUT), ("N19", "evil\u3002example/", OUT), ("N20", "https://evil.example\u2100.auth.example.com/", FAILED),
    ("N21", "/\0/evil", OUT), ("N22", "//%65vil.example", INVALID), ("N23", "/%2f%2fevil.example", OUT), ("N23", "/%5cevil.example", OUT),
    ("N23", "/%09/evil", OUT), ("N23", "/%252f%252fevil.example", OUT), ("N24", "/..//evil.example", OUT), ("N24", "/.//evil", OUT),
    ("N24", "/if/../x", OUT), ("N24", "/a/..", OUT), ("N24", "/a/..;x/b", OUT), ("N24", "/%2e%2e/x", OUT), ("N25", "./\\evil.example", OUT),
    ("N25", "evil.example", OUT), ("N25", "../x", OUT), ("N26", "/path\r\nSet-Cookie: a=b", OUT), ("N26", "/%0d%0aSet-Cookie:x=1", OUT),
    ("N27", "\ufeff//evil", OUT), ("N27", "/\u2028/evil", OUT), ("N27", "/\uff0fevil", OUT), ("N28", "?next=//evil", OUT),
    ("N28", "?a=1", FAILED), ("N28", "#frag", FAILED), ("N28", "", INVALID), ("N28", "null", FAILED), ("N30", "/" + "a" * 4096, OUT),
    ("route", "authentik_core:if-admin", Redirect("/if/admin/")), ("route", "authentik_core:if-flow", FAILED), ("word", "foo", FAILED),
    ("kept", "/a b", Redirect("/a%20b")), ("kept", "/\u00e4", Redirect("/%C3%A4")), ("kept", "/foo/bar?a=1&b=%2F", Redirect("/foo/bar?a=1&b=%2F")),
    ("kept", "/if/admin/#/x;%7B%7D", Redirect("/if/admin/#/x;%7B%7D")), ("broken", "/%zz", OUT), ("broken", "//[", FAILED),
    ("N30", "/" + "a" * 4095, Redirect("/" + "a" * 4095)), ("spelt", "/a//b", Redirect("/a//b")), ("spelt", "/a%2Fb", Redirect("/a%2Fb")),
    ("spelt", "/project/%2Fgroup%2Fname//x/", Redirect("/project/%2Fgroup%2Fname//x/")), ("spelt", "/proxy/https://inside/x", Redirect("/proxy/https://inside/x")),
    ("spelt", "/a;b//c", Redirect("/a;b//c")), ("spelt", "/a/%252f", Redirect("/a/%252f")), ("not spelt", "/;//evil.example", OUT),
    ("not spelt", "/%20//evil.example", OUT), ("not spelt", "/%3b//evil.example", OUT), ("not spelt", "/a/..%2f..%2f%2fevil", OUT),
    ("not spelt", "/a/%2e%2e/%2fevil", OUT), ("not spelt", "/a%5c%5cevil", OUT), ("not spelt", "/\u3000//evil", OUT), ("not spelt", "/.;a//evil", OUT),
    # What becomes another character in the form that some server makes of it, or cannot be seen in the address bar.
    ("N27", "/\uff3cevil.example", OUT), ("N27", "/\ufe68evil.example", OUT), ("N27", "/a/\uff3c\uff3cevil", OUT), ("N27", "/%ef%bc%bcevil", OUT),
    ("N27", "/a\u202egnp.exe", OUT), ("N27", "/if\u200b/user/", OUT), ("N27", "/a%e2%80%ae", OUT), ("N27", "/\ue000", OUT),
]  # fmt: skip


@pytest.mark.parametrize(("row", "value", "expected"), ROWS)
def test_the_row(row: str, value: str, expected: object) -> None:
    assert destination("next=" + quote(value, safe="")) == expected


def test_without_next_it_is_home_and_the_last_of_several_counts() -> None:
    assert destination("") == HOME
    assert destination("Next=/a&next[]=/b") == HOME
    assert destination("next=/one&next=/two") == Redirect("/two")


@pytest.mark.parametrize(("row", "value", "expected"), ROWS)
def test_a_denial_uses_the_same_values_and_never_fails(row: str, value: str, expected: object) -> None:
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
