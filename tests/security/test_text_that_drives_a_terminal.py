r"""Somebody types escape sequences into the log-in page, and an administrator looks at what happened.

A terminal must neither act on anything in it nor hide it: the cursor, the title, the clipboard (OSC 52), C1 controls in
one character, right-to-left overrides, what shows as nothing, line separators that begin a forged line.
"""

import json
import logging
import unicodedata
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.contracts.envelope import Envelope
from shared.kernel.terminal import shown, shown_json, shown_lines
from shared.messaging.log import Record
from shared.runtime import process
from shared.telemetry.logs import JsonFormatter
from sluice.console import say, say_lines
from sluice.tail.entries import Entry
from sluice.tail.lines import for_people, for_programs

ATTACKS = {
    "clear the screen": "\x1b[2J\x1b[H",
    "set the title": "\x1b]0;owned\x07",
    "write the clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "ask the terminal to type": "\x1b[21t\x1bP+q544e\x1b\\",
    "C1 instead of escape": "\x9b2J\x9d0;owned\x9c",
    "overwrite the line": "alice\rroot ",
    "forge a line": "alice\n2026-01-01T00:00:00.000Z forged",
    "forge a line otherwise": "alice\u2028forged\u2029forged\x85forged\x0b\x0c\x1c\x1d\x1e",
    "erase backwards": "root\b\b\b\bbob\x7f",
    "turn the direction": "\u202egnp.exe\u202c\u2066\u2069\u200f\u061c",
    "hide": "ad\u200bm\u2060in\ufeff\u00ad\u034f\u115f\u3164\u2800\ufe0f\U000e0041\U000e0101",
    "nul": "a\0b",
    "a half of a pair": "a\ud800b",
    "no character": "a\uffff\U0010fffe",
    "private use": "\ue000\U000f0000",
}
INNOCENT = ("J\u00fcrgen M\u00fcller", "\u0410\u043d\u043d\u0430", "\u5c71\u7530", "\u0627\u062d\u0645\u062f", "a b!~", "\U0001f600")
_BAD = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def harmful(text: str) -> set[str]:
    return {character for character in text if unicodedata.category(character) in _BAD or character in "\u034f\u115f\u3164\u2800\ufe0f"}


def entry(text: str) -> Entry:
    """An event in which everything that a stranger, or another service, could have written is this."""
    plain = text.encode(errors="replace")
    envelope = Envelope(id=text, type=text, version=1, source=text, subject=text, time_us=1_700_000_000_000_000)
    facts = {
        "username": text,
        text: text,
        "run": text,
        "clear": {"uid_field": text, text: [text]},
        "login": {"login": text, "username": text, "address": text},
        "evidence": {"method": text, "subject": text},
        "plan": {"flow": {"slug": text}, "stages": [{"name": text}]},
        "challenge": {"component": text, "kind": text, "to": text},
        "list": (text, text),
        "bytes": plain,
    }
    return Entry(Record(text, 3, 0, 1_700_000_000_000, plain, b"", ()), envelope, text, facts, {"kind": text, "address": text})


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_tail_for_people_is_one_line_in_which_it_can_be_seen(attack: str) -> None:
    line = for_people(entry(attack))
    assert harmful(line) == set()
    assert line.count("\\") > 0


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_tail_for_programs_is_the_same_json_and_harmless(attack: str) -> None:
    line = for_programs(entry(attack))
    assert harmful(line) == set()
    assert json.loads(line)["facts"]["username"] == attack


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_the_command_line_says_is_harmless(attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"made user {attack} (number 7)")
    say_lines(f"{attack.splitlines()[0]}\nsecond", err=True)
    process.say(f"waiting for kafka: {attack.splitlines()[0]}")
    out, err = capsys.readouterr()
    assert harmful(out.removesuffix("\n")) == set()
    assert harmful(err.replace("\n", "")) == set()
    assert err.count("\n") == 3


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_log_line_is_one_line_of_json_and_harmless(attack: str) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(attack))
    record = logging.LogRecord("x", logging.INFO, "f", 1, "policy %r", (attack,), None)
    record.__dict__["seen"] = {attack: attack}
    handler.handle(record)
    assert harmful(stream.getvalue().removesuffix("\n")) == set()
    assert list(json.loads(stream.getvalue())["seen"].values()) == [attack]


@pytest.mark.parametrize("name", INNOCENT)
def test_names_of_people_stay_as_they_are(name: str) -> None:
    assert shown(name) == shown_json(name) == shown_lines(name) == name


@given(some.text())
def test_nothing_harmful_gets_through_and_nothing_is_lost(text: str) -> None:
    assert harmful(shown(text)) == set()
    assert json.loads(shown_json(json.dumps(text, ensure_ascii=False))) == text
