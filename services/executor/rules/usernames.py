"""What a new user may be called: whatever authentik takes, unless it cannot be told from another name by looking at it.

Any script, blanks between words, signs. A name is kept in its NFKC form, as Django keeps it; case, width and ligatures do not
make another one of it. Refused, each for its own reason: what cannot be seen or turns the direction of text, what mixes
alphabets that share letters' shapes (Unicode TR39 §5.2, "moderately restrictive") or digits of two scripts, marks without
end or with nothing under them. That a whole name looks like somebody's is `lookalikes`' to say: only others' names tell.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

from confusable_homoglyphs import categories

from services.executor.rules.identifiers import BadIdentifier, canonical, is_text

USERNAME_MAX: Final = 150
MARKS_MAX: Final = 4
"""In a row on one letter; Hebrew, Thai and Burmese need up to three."""

RESERVED: Final = frozenset({
    "null", "none", "undefined", "true", "false", "0", "-", "_", ".", "..", "@", "+", "me", "self", "system", "anonymous", "anonymoususer",
})  # fmt: skip
"""Names that some program would take for something else."""

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\Z")
_SCRIPTLESS: Final = frozenset({"COMMON", "INHERITED"})
_TOGETHER: Final = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
_BESIDE_LATIN: Final = frozenset({
    "ARABIC", "ARMENIAN", "BENGALI", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GUJARATI", "GURMUKHI", "HEBREW", "KANNADA", "KHMER", "LAO",
    "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN",
})  # fmt: skip
"""Recommended scripts (Unicode TR31, table 5) without those whose letters look like Latin ones: Cyrillic and Greek."""
_UNSEEN: Final = frozenset({0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x16FE4, 0x1D159})
_UNSEEN_RANGES: Final = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0x13441, 0x13446), (0xE0100, 0xE01EF))
_TURNING: Final = frozenset({0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)})


def new_username(text: str) -> tuple[str, str]:
    """A name for a new user, as it is kept and shown and in its canonical form; `BadIdentifier` says why not."""
    if len(text) > USERNAME_MAX:
        raise BadIdentifier(f"Ensure this field has no more than {USERNAME_MAX} characters.")
    if not is_text(text):
        raise BadIdentifier("Null characters are not allowed." if "\0" in text else "This field contains half of a character.")
    _seen(text)
    shown = unicodedata.normalize("NFKC", text).strip(" ")
    folded = canonical(shown)
    if not shown:
        raise BadIdentifier("This field may not be blank.")
    if max(len(shown), len(folded)) > USERNAME_MAX:
        raise BadIdentifier(f"Ensure this field has no more than {USERNAME_MAX} characters.")
    for check in _CHECKS:
        check(shown)
    if folded in RESERVED or _UUID.match(folded):
        raise BadIdentifier("This username is reserved.")
    return shown, folded


def _seen(text: str) -> None:
    """Before the form is made: it would drop some of these without a word."""
    for character in text:
        point, kind = ord(character), unicodedata.category(character)
        if point in _TURNING:
            raise BadIdentifier(f"A username cannot contain characters that turn the direction of text ({_named(point)}).")
        if kind in ("Cc", "Cf") or point in _UNSEEN or any(first <= point <= last for first, last in _UNSEEN_RANGES):
            raise BadIdentifier(f"A username cannot contain characters that cannot be seen ({_named(point)}).")
        if kind in ("Co", "Cn", "Zl", "Zp"):
            raise BadIdentifier(f"A username cannot contain characters without a meaning of their own ({_named(point)}).")


def _blanks(shown: str) -> None:
    other = next((character for character in shown if unicodedata.category(character) == "Zs" and character != " "), None)
    if other is not None:
        raise BadIdentifier(f"A username cannot contain other blanks than the ordinary one ({_named(ord(other))}).")
    if "  " in shown:
        raise BadIdentifier("A username cannot contain two blanks in a row: one looks the same.")


def _substance(shown: str) -> None:
    if not any(unicodedata.category(character)[0] in "LNS" for character in shown):
        raise BadIdentifier("A username needs a letter, a digit or a sign.")


def _marks(shown: str) -> None:
    marks, before = 0, " "
    for character in unicodedata.normalize("NFD", shown):
        marked = unicodedata.category(character)[0] == "M"
        if marked and before == " ":
            raise BadIdentifier("A username cannot contain a mark with no letter under it.")
        if marked and (marks == MARKS_MAX or before == character):
            raise BadIdentifier("A username cannot contain so many marks on one letter.")
        marks, before = marks + 1 if marked else 0, character


def _digits(shown: str) -> None:
    zeros = {ord(character) - unicodedata.decimal(character) for character in shown if unicodedata.category(character) == "Nd"}
    if len(zeros) > 1:
        raise BadIdentifier("A username cannot mix digits of different scripts.")


def _scripts(shown: str) -> None:
    scripts = {categories.alias(character) for character in shown} - _SCRIPTLESS
    if len(scripts) <= 1 or any(scripts <= some for some in _TOGETHER):
        return
    if len(scripts) == 2 and "LATIN" in scripts and scripts - {"LATIN"} <= _BESIDE_LATIN:
        return
    raise BadIdentifier(f"A username cannot mix letters of alphabets that can be mistaken for each other ({_list(scripts)}).")


_CHECKS: Final[tuple[Callable[[str], None], ...]] = (_blanks, _substance, _marks, _digits, _scripts)


def _named(point: int) -> str:
    return f"U+{point:04X}"


def _list(scripts: Iterable[str]) -> str:
    return ", ".join(sorted(script.replace("_", " ").title() for script in scripts))
