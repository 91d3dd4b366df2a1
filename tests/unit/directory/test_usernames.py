"""What a new user may be called, and the true reason where not (issue: names as authentik takes them)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.rules.identifiers import BadIdentifier, canonical
from services.executor.rules.lookalikes import looks_of
from services.executor.rules.usernames import new_username

TAKEN = [
    "alice", "Alice", "akadmin", "1234", "a.b-c_d+e@example.org", "o-mfa-u", "j\u00fcrgen", "J\u00dcRGEN", "Ann Lee", "Stra\u00dfe",
    "O'Brien", "d'Arc", "CORP\\alice", "corp/alice", "Lee, Ann", "ann&bob", "R&D #1", "50%", "<script>", "a;b", "%s", "=cmd()", "{{7*7}}",
    "\u0418\u0432\u0430\u043d", "\u0421\u0430\u0440\u0430", "\u0413\u0438\u03ba".replace("\u03ba", "\u043a"), "\u0395\u03bb\u03ad\u03bd\u03b7",
    "\u7530\u4e2d", "\u5c71\u7530 \u30bf\u30ed\u30a6", "Tanaka\u7530\u4e2d", "\uae40\ubbfc\uc900", "\u05d3\u05d5\u05d3", "user-\u05d3\u05d5\u05d3",
    "\u0645\u062d\u0645\u062f", "\u0909\u0926\u092f", "\u0e2a\u0e21\u0e0a\u0e32\u0e22", "\u0130lker", "\u0131\u015f\u0131k", "\u00de\u00f3r",
    "\U0001f600 Smile", "Nguy\u1ec5n V\u0103n A", "x" * 150, "\u0661\u0662\u0663",
]  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_names_that_people_have_are_taken_as_they_are(name: str) -> None:
    assert new_username(name) == (unicodedata.normalize("NFKC", name), canonical(name))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" alice ", "alice"), ("\uff21lice", "Alice"), ("alice\u00a0", "alice"), ("Ann\u00a0Lee", "Ann Lee"), ("Ann\u3000Lee", "Ann Lee"),
        ("ju\u0308rgen", "j\u00fcrgen"), ("\ufb01ona", "fiona"), ("\u212aate", "Kate"), ("\u2168", "IX"), ("\U0001d41aann", "aann"),
    ],
)  # fmt: skip
def test_a_name_is_kept_in_its_compatible_form(typed: str, kept: str) -> None:
    assert new_username(typed) == (kept, canonical(kept))


BLANK, UNSEEN, TURNING, MEANING, MIXED, MARKS = "blank", "cannot be seen", "turn the direction", "without a meaning", "mix letters", "mark"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "may not be blank"), (" ", "may not be blank"), ("\u3000", "may not be blank"),
        ("x" * 151, "no more than 150 characters"), ("\ufdfa" * 60, "no more than 150 characters"), ("\u00df" * 76, "no more than 150 characters"),
        ("a\0", "Null characters"), ("\ud800", "half of a character"),
        ("admin\u200b", UNSEEN), ("ad\u00admin", UNSEEN), ("ad\u200dmin", UNSEEN), ("ad\u200cmin", UNSEEN), ("admin\ufe0f", UNSEEN),
        ("ad\u2060min", UNSEEN), ("\ufeffadmin", UNSEEN), ("adm\x08in", UNSEEN), ("admin\x7f", UNSEEN), ("admin\x85", UNSEEN), ("admin\t", UNSEEN),
        ("admin\n", UNSEEN), ("a\r\nSet-Cookie: x", UNSEEN), ("ad\u034fmin", UNSEEN), ("ad\u3164min", UNSEEN), ("ad\uffa0min", UNSEEN),
        ("ad\u2800min", UNSEEN), ("ad\u115fmin", UNSEEN), ("ad\u17b4min", UNSEEN), ("ad\u180emin", UNSEEN), ("ad\U000e0101min", UNSEEN),
        ("ad\U000e0041min", UNSEEN), ("ad\u061cmin".replace("\u061c", "\u2061"), UNSEEN), ("\x1b[31madmin", UNSEEN),
        ("\U0001f468\u200d\U0001f469", UNSEEN),
        ("\u202enimda", TURNING), ("\u2066admin", TURNING), ("admin\u200f", TURNING), ("\u061cadmin", TURNING), ("admin\u2069", TURNING),
        ("\ufffe", MEANING), ("\ue000", MEANING), ("\u0378", MEANING), ("a\u2028b", MEANING), ("\U000f0000", MEANING),
        ("Ann  Lee", "two blanks"), ("Ann\u2003 Lee", "two blanks"), ("Ann\u1680Lee", "other blanks"),
        ("...", "a letter, a digit"), ("--", "a letter, a digit"), ("\u2026\u2026", "a letter, a digit"),
        ("\u0301lice", MARKS), ("Ann \u0301Lee", MARKS), ("\u00b4lice", MARKS), ("Z" + "\u0323" * 2, MARKS), ("a" + "\u0301" * 100, MARKS),
        ("a\u0323\u0324\u0325\u032d\u0331", MARKS),
        ("1\u0662", "digits of different scripts"), ("\u0967\u0661", "digits of different scripts"),
        ("\u0430dmin", "mix letters.*Cyrillic, Latin"), ("adm\u0456n", MIXED), ("\u03b1dmin", "mix letters.*Greek, Latin"),
        ("\u0399van\u0418", MIXED), ("\u13a0dmin", MIXED), ("\u0418\u03b1", MIXED), ("alice-\u0418\u0432\u0430\u043d", MIXED), ("\u10a0\u0418", MIXED),
        ("null", "reserved"), ("NULL", "reserved"), ("undefined", "reserved"), ("true", "reserved"), ("0", "reserved"), ("me", "reserved"),
        ("self", "reserved"), ("system", "reserved"), ("anonymous", "reserved"), ("\uff4d\uff45", "reserved"), ("+", "reserved"),
        ("11111111-1111-4111-8111-111111111111", "reserved"),
    ],
)  # fmt: skip
def test_names_that_nobody_is_given_and_the_true_reason(name: str, why: str) -> None:
    with pytest.raises(BadIdentifier, match=why):
        new_username(name)


def test_what_cannot_be_seen_is_named() -> None:
    with pytest.raises(BadIdentifier, match=r"U\+200B"):
        new_username("ali\u200bce")


@given(st.text(max_size=200))
def test_whatever_is_asked_for_is_a_name_of_the_promised_form_or_refused(text: str) -> None:
    try:
        shown, folded = new_username(text)
    except BadIdentifier:
        return
    assert shown == shown.strip(" ") == unicodedata.normalize("NFKC", shown)
    assert folded == canonical(shown) == canonical(text)
    assert 0 < len(shown) <= 150
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert new_username(shown) == (shown, folded)


def alike(one: str, other: str) -> bool:
    return not set(looks_of(one)).isdisjoint(looks_of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u0430\u0440\u0440\u04cf\u0435", "apple"), ("\u0440\u043e\u0440", "pop"), ("\u0420\u041e\u0421\u0410", "POCA"), ("\u03bf\u03c1\u03bf", "opo"),
        ("adm\u0131n", "admin"), ("adm\u0130n", "admin"), ("admi\u0307n", "admin"), ("\u0251lice", "alice"), ("al\u026ace", "alice"),
        ("\u0441\u043e\u0441\u043e", "coco"), ("pau\u01c0", "paul"), ("o\u2019brien", "o'brien"), ("\u30cb", "\u4e8c"),
    ],
)  # fmt: skip
def test_names_that_look_alike(one: str, other: str) -> None:
    assert alike(one, other)
    assert alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("j\u00fcrgen", "jurgen"),
        ("\u0418\u0432\u0430\u043d", "ivan"),
        ("zo\u00eb", "zoe"),
        ("\u00f8re", "ore"),
        ("alice", "alicf"),
        ("\u00e9", "e"),
    ],
)
def test_names_that_one_can_tell_apart(one: str, other: str) -> None:
    assert not alike(one, other)


def test_the_migration_knows_the_looks_of_the_names_that_were_there() -> None:
    for point in range(0x21, 0x7F):
        name = f"a{chr(point)}b"
        in_sql = name.translate(str.maketrans("`|IilO", "'11110"))
        assert looks_of(name) == tuple(dict.fromkeys((in_sql.lower(), canonical(name).translate(str.maketrans("`|IilO", "'11110")))))
    assert set(looks_of("Oli|`1I\u00e9")) >= {looks_of("Oli|`1I")[0] + "\u00e9"}, "with and without the table"
