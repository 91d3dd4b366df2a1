r"""Text of others, made safe to be shown on a terminal: nothing in it moves the cursor, hides, or turns the direction.

Such a character is shown as its escape (`\x1b`, `\u202e`), so that a reader sees what was sent.
Sources: ASVS 5 V16.4 (injection into logs); CVE-2003-0063 and its kind (a terminal that types what its title says);
CVE-2021-42574, "Trojan Source" (bidirectional controls).
"""

from typing import Final

_UNSEEN: Final = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # letters and marks that show as nothing
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0xE0100, 0xE01F0),
    }
)


def shown(text: str) -> str:
    r"""The text as one line: controls (C0, DEL, C1), line separators, formats, surrogates and what shows as nothing are escaped."""
    return text if _harmless(text) else "".join(character if _seen(character) else _escaped(character) for character in text)


def shown_lines(text: str) -> str:
    """The same for text of ours that has several lines."""
    return "\n".join(shown(line) for line in text.split("\n"))


def shown_json(text: str) -> str:
    """The same for one JSON value on one line, which it stays: outside of its texts there is nothing to escape."""
    return text if _harmless(text) else "".join(character if _seen(character) else _json_escaped(character) for character in text)


def _harmless(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _seen(character: str) -> bool:
    # isprintable is false for all of Cc, Cf, Cs, Co, Cn, Zl, Zp, and for blanks other than the plain one
    return character.isprintable() and ord(character) not in _UNSEEN


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
