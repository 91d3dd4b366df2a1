"""Names: one canonical form, and what a new one may look like."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.rules.identifiers import (
    BadIdentifier,
    canonical,
    counter_of,
    looked_for,
    looked_for_email,
    new_email,
    new_name,
)
from services.executor.rules.usernames import new_username


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ADMIN", "admin"),
        ("\uff41\uff44\uff4d\uff49\uff4e", "admin"),
        ("\u24d0dmin", "admin"),
        ("\U0001d4b6dmin", "admin"),
        ("\u212aate", "kate"),
        ("e\u0301", "\u00e9"),
        ("\u1e9b\u0323", "\u1e69"),
        ("\u1100\u1161", "\uac00"),
        ("\ufb01ona", "fiona"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u1e9e", "ss"),
        (" admin ", "admin"),
        ("admin\u00a0", "admin"),
        ("admin\u3000", "admin"),
    ],
)
def test_spellings_of_one_name_are_one(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)
    assert counter_of(one) == counter_of(other)


@pytest.mark.parametrize(
    "other", ["admin.", "ad.min", "adm1n", "admin+x@example.org", "\u0430dmin", "adm\u0131n", "adm\u0130n", "admin\u200b"]
)
def test_other_names_are_others(other: str) -> None:
    assert canonical(other) != canonical("admin")


def test_the_form_is_idempotent_for_every_character() -> None:
    for point in range(sys.maxunicode + 1):
        once = canonical(f"a{chr(point)}b")
        assert canonical(once) == once, hex(point)


@given(st.text())
def test_the_form_is_idempotent(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert len(counter_of(text)) == 32


@pytest.mark.parametrize("text", ["\ufdfa" * 60, "a" + "\u0301" * 10_000, "\U0001f468\u200d" * 2500, "x" * 1_000_000])
def test_long_and_costly_names_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(BadIdentifier):
        new_username(text)
    assert looked_for(text * 10) is None
    assert time.process_time() - began < 0.5, "cost grows with the input"


@pytest.mark.parametrize("text", ["", " ", "a\0", "\ud800", "x" * 513])
def test_what_nobody_can_be_called_is_not_looked_for(text: str) -> None:
    assert looked_for(text) is None


@pytest.mark.parametrize(
    "address",
    [
        "a@b", '"a b"@x.org', "a@x.org\nBcc: v@x", "a@[127.0.0.1]", "a@x.org,b@y.org", "a@x.org%0a", "<a@x.org>", "=?utf-8?q?a?=@x.org",
        "a@1.2", "@x.org", "a@", "a@@x.org", ".a@x.org", "a..b@x.org", "a@-x.org", "a@x-.org", "a@x..org", "a@x.org.", "a" * 65 + "@x.org",
        "a@" + "x" * 250 + ".org", "\u0430@x.org", "a@x\u200b.org", "a b@x.org", "a@x.org\0",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    assert looked_for_email(address) is None
    with pytest.raises(BadIdentifier):
        new_email(address)


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("Admin@EXAMPLE.org", "admin@example.org"),
        ("admin@ex\u00e4mple.org", "admin@xn--exmple-cua.org"),
        ("admin@xn--exmple-cua.org", "admin@xn--exmple-cua.org"),
        ("admin@example\u3002org", "admin@example.org"),
        ("a+b@x.org", "a+b@x.org"),
        (" a@x.org ", "a@x.org"),
    ],
)
def test_addresses_have_one_form_and_the_stored_one_is_as_given(typed: str, form: str) -> None:
    assert new_email(typed) == (unicodedata.normalize("NFC", typed.strip(" ")), form)
    assert looked_for_email(typed) == form


@pytest.mark.parametrize(
    "name",
    ["<script>", "{{7*7}}", "' or 1=1--", "%s", "=cmd()", "\u05d3\u05d5\u05d3", "\u7530\u4e2d", "\U0001f600 Smile", "", "O'Brien-Smith"],
)
def test_display_names_are_kept_as_they_are(name: str) -> None:
    assert new_name(name) == name


@pytest.mark.parametrize("name", ["a\0", "\u202ename", "a\x08", "x" * 513, "Z" + "\u0301" * 50, "\ud800", "\ue000"])
def test_display_names_that_cannot_be_shown(name: str) -> None:
    with pytest.raises(BadIdentifier):
        new_name(name)
