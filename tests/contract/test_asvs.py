"""docs/asvs.md says something of every requirement of ASVS 5.0's levels 1 and 2, once, and names tests that are there."""

import re
from collections import Counter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "asvs.md").read_text()
ROW: Final = re.compile(r"^\| (\d+\.\d+\.\d+) \| (.+?) \|(.*)\|$", re.MULTILINE)
WITHOUT_CHAPTERS: Final = (10, 17)
"""OAuth and WebRTC, of which there is nothing here."""
NUMBERS: Final = """
1.1.1-2 1.2.1-9 1.3.1-11 1.4.1-3 1.5.1-2 2.1.1-3 2.2.1-3 2.3.1-4 2.4.1 3.2.1-2 3.3.1-4 3.4.1-6 3.5.1-5 3.7.1-2 4.1.1-3
4.2.1 4.3.1-2 4.4.1-4 5.1.1 5.2.1-3 5.3.1-2 5.4.1-3 6.1.1-3 6.2.1-12 6.3.1-4 6.4.1-4 6.5.1-5 6.6.1-3 6.8.1-4 7.1.1-3
7.2.1-4 7.3.1-2 7.4.1-5 7.5.1-2 7.6.1-2 8.1.1-2 8.2.1-3 8.3.1 8.4.1 9.1.1-3 9.2.1-4 11.1.1-2 11.2.1-3 11.3.1-3 11.4.1-4
11.5.1 11.6.1 12.1.1-3 12.2.1-2 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2 13.4.1-5 14.1.1-2 14.2.1-4 14.3.1-3 15.1.1-3 15.2.1-3
15.3.1-7 16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3
"""
"""Of levels 1 and 2, read off the published chapters: `2.3.1-4` are four of them."""


def numbers() -> set[str]:
    found = set()
    for word in NUMBERS.split():
        section, _, last = word.rpartition(".")
        for part in last.split(","):
            first, _, end = part.partition("-")
            found |= {f"{section}.{n}" for n in range(int(first), int(end or first) + 1)}
    return found


def test_every_number_is_there_once() -> None:
    rows = Counter(number for number, _, _ in ROW.findall(PAGE))
    assert set(rows) == numbers()
    assert set(rows.values()) == {1}
    assert len(rows) == 217
    assert not {number for number in rows if int(number.partition(".")[0]) in WITHOUT_CHAPTERS}


def test_every_test_that_is_named_is_there() -> None:
    named = [path for _, _, tests in ROW.findall(PAGE) for path in re.findall(r"`([^`]+)`", tests)]
    assert len(named) >= 100
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_what_names_no_test_says_why() -> None:
    for number, how, tests in ROW.findall(PAGE):
        assert tests.strip() or len(how) >= 4, number
        if how.startswith("not there yet"):
            assert not tests.strip(), number
