"""`sluice tail`: decoded, in order, of the sessions only what was accepted, while another process writes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.contracts.codec import encode
from shared.contracts.directory import UserChanged
from shared.contracts.envelope import Envelope
from shared.contracts.evidence import Evidence
from shared.contracts.model import Contract
from shared.contracts.sessions import CounterSet, Given, RunCancelled, SessionAdvanced, SessionStarted, StagePassed
from shared.contracts.topics import DIRECTORY_EVENTS, PLAN_REQUESTS, SESSIONS, TOPICS
from shared.kernel.ids import new_session_id
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message
from sluice.cli import app
from sluice.data_folder import DataFolder
from sluice.tail.command import tail
from sluice.tail.entries import UNREADABLE
from sluice.tail.seen import SeenIds
from tests.fixtures_patience import PATIENT_S

ALICE, BOB = new_session_id(3), new_session_id(7)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.delenv("SLUICE_KAFKA", raising=False)
    monkeypatch.setattr("sluice.tail.command.read", lambda model: model())
    return DataFolder(tmp_path)


def message(topic: str, subject: str, partition: int, body: Contract, **place: Any) -> Message:
    envelope = Envelope(
        id=place.pop("id", "id"), type=body.wire_type, version=1, source="/test", subject=subject, time_us=1_700_000_000_000_000, **place
    )
    headers, value = encode(envelope, body)
    return Message(topic, partition, subject.encode(), value, headers)


def transition(session: str, version: int, parent: str, id: str, *events: Any) -> Message:
    body = SessionAdvanced(session=session, command="c", kind="answer", at_us=1, given=Given(address="192.0.2.7"), events=events)
    return message(SESSIONS, session, int(session[:2], 16), body, id=id, subject_version=version, parent=parent or None)


HISTORY = [
    transition(ALICE, 1, "", "a1", SessionStarted(), CounterSet(name="first", value=1)),
    transition(BOB, 1, "", "b1", SessionStarted()),
    transition(ALICE, 2, "a1", "a2", CounterSet(name="second", value=2)),
    transition(ALICE, 2, "a1", "zombie2", CounterSet(name="zombie", value=9)),
    transition(ALICE, 3, "zombie2", "zombie3", CounterSet(name="zombie", value=9)),
    transition(ALICE, 3, "a2", "a3", RunCancelled(run="r", reason="visitor")),
]


@pytest.fixture
def written(folder: DataFolder) -> Callable[..., None]:
    def write(*messages: Message) -> None:
        async def append() -> None:
            log = await EmbeddedLog.open(TOPICS, folder.log)
            for one in messages:
                await log.append(one)
            await log.close()

        asyncio.run(append())

    return write


def shown(capsys: pytest.CaptureFixture[str], topic: str, newest: int | None = None, as_json: bool = False) -> list[str]:
    assert tail(topic, follow=False, newest=newest, as_json=as_json) == 0
    return capsys.readouterr().out.splitlines()


def test_one_line_an_event_and_no_word_of_a_zombie(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    written(*HISTORY)
    lines = shown(capsys, SESSIONS)
    assert [line.split("  ")[0].split(" ", 1)[1] for line in lines if ALICE in line] == [
        f"{ALICE} v1 session.started",
        f"{ALICE} v1 session.counted",
        f"{ALICE} v2 session.counted",
        f"{ALICE} v3 run.cancelled",
    ]
    assert sum(BOB in line for line in lines) == 1
    assert not any("zombie" in line for line in lines)
    assert lines[-1].endswith("run=r reason=visitor kind=answer address=192.0.2.7")


def test_the_newest_lines_are_judged_by_what_came_before_them(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    written(*HISTORY[:5])
    assert len(shown(capsys, SESSIONS, newest=1)) == 1
    assert shown(capsys, SESSIONS, newest=0) == []
    assert "zombie" not in "".join(shown(capsys, SESSIONS, newest=3))


def test_json_has_everything(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    written(*HISTORY)
    first = json.loads(next(line for line in shown(capsys, SESSIONS, as_json=True) if ALICE in line))
    assert (first["topic"], first["partition"], first["offset"], first["event"]) == (SESSIONS, 3, 0, "session.started")
    assert first["envelope"]["subject_version"] == 1
    assert first["step"]["given"]["address"] == "192.0.2.7"


def test_what_cannot_be_read_is_shown_as_such_and_control_characters_do_not_pass(
    written: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    good = message(DIRECTORY_EVENTS, "1", 0, UserChanged(user=1, what="created", at_us=1, facts={"username": "\x1b[31mred"}))
    written(Message(DIRECTORY_EVENTS, 0, b"1", b"\xc1", good.headers), good)
    broken, fine = shown(capsys, DIRECTORY_EVENTS)
    assert "(unreadable)  reason=E_EVT_" in broken
    assert "\x1b" not in fine
    assert "what=created" in fine


def test_what_comes_is_followed_while_it_is_written(folder: DataFolder, capsys: pytest.CaptureFixture[str]) -> None:
    from shared.messaging.embedded.sqlite_reader import LogFile
    from sluice.tail import sources
    from sluice.tail.entries import Entries

    async def both() -> list[str]:
        log = await EmbeddedLog.open(TOPICS, folder.log)
        for one in HISTORY[:3]:
            await log.append(one)
        file, entries, names = LogFile(folder.log), Entries(SESSIONS), []
        ends = await sources.ends_of(file, SESSIONS)
        async for record in sources.history(file, SESSIONS, ends):
            list(entries.of(record))
        for one in HISTORY[3:]:
            await log.append(one)
        async with asyncio.timeout(PATIENT_S):
            following = sources.following(file, SESSIONS, ends)
            async for record in following:
                names += [entry.name for entry in entries.of(record)]
                if "run.cancelled" in names:
                    break
            await following.aclose()  # type: ignore[attr-defined]
        await file.close()
        await log.close()
        return names

    assert asyncio.run(both()) == ["run.cancelled"]


def said(subject: str, id: str, topic: str = DIRECTORY_EVENTS) -> Message:
    return message(topic, subject, 0, UserChanged(user=1, what="logged_in", at_us=1), id=id)


def test_a_record_that_was_copied_is_shown_as_the_repeat_that_it_is(
    written: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    written(said("1", "a"), said("2", "b"), said("1", "a"), said("1", "c"), said("1", "a"), said("2", "b"))
    repeats = [False, False, True, False, True, True]
    assert ["user.changed (repeat)" in line for line in shown(capsys, DIRECTORY_EVENTS)] == repeats
    assert [json.loads(line)["repeat"] for line in shown(capsys, DIRECTORY_EVENTS, as_json=True)] == repeats


def test_a_copy_is_told_by_what_came_before_the_newest_lines(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    written(said("1", "a"), said("2", "b"), said("1", "a"))
    (line,) = shown(capsys, DIRECTORY_EVENTS, newest=1)
    assert "(repeat)" in line


def test_what_cannot_be_believed_makes_no_repeat_of_what_can(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    good = said("1", "a")
    written(Message(DIRECTORY_EVENTS, 0, b"1", b"\xc1", good.headers), good)  # somebody was quicker, with the id of the true one
    forged, fine = shown(capsys, DIRECTORY_EVENTS)
    assert UNREADABLE in forged
    assert "(repeat)" not in forged + fine


def test_ids_are_remembered_up_to_a_number_the_newest_of_them() -> None:
    ids = SeenIds(3)
    assert [ids.is_repeat(id) for id in "abcab"] == [False, False, False, True, True]
    assert not ids.is_repeat("d")  # c goes: it was not met again
    assert [ids.is_repeat(id) for id in "abd"] == [True] * 3
    assert not ids.is_repeat("c")
    assert len(ids) == 3


@pytest.mark.parametrize("lines", ["99999999999999999999", "9223372036854775808", "1000001", "-1", "1e3"])
def test_a_number_of_lines_that_nobody_can_mean_is_refused_by_its_option(lines: str) -> None:
    told = CliRunner().invoke(app, ["tail", SESSIONS, "-n", lines])
    assert told.exit_code == 2
    assert "--lines" in told.output
    assert not isinstance(told.exception, OverflowError)


@pytest.mark.parametrize(
    ("topic", "why"), [("nothing", "there is no topic nothing"), (PLAN_REQUESTS, "in memory only"), (SESSIONS, "no log at")]
)
def test_what_cannot_be_tailed_is_told_with_the_reason(capsys: pytest.CaptureFixture[str], topic: str, why: str) -> None:
    assert tail(topic, follow=False, newest=None, as_json=False) == 1
    assert why in capsys.readouterr().err


def test_large_parts_are_told_by_what_matters(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    evidence = Evidence(session=ALICE, run="run-1", binding="b", version=1, subject="u", method="password", at_us=1, proves="password")
    passed = StagePassed(run="run-1", binding="0123456789", evidence=evidence, context={"is_redirected": True})
    written(transition(ALICE, 1, "", "a1", SessionStarted(), passed, CounterSet(name="failures", value=0)))
    _, stage, counter = shown(capsys, SESSIONS)
    assert 'run=run-1 binding=01234567 evidence=password by=u proves=password context={"is_redirected":true}' in stage
    assert "kind=" not in stage
    assert "name=failures value=0" in counter


def test_a_log_in_is_told_with_its_address(written: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"username": "alice", "login": "0123456789", "methods": ("password",), "address": "192.0.2.1", "user_agent": "curl"}
    written(message(DIRECTORY_EVENTS, "1", 0, UserChanged(user=1, what="logged_in", at_us=1, facts=facts)))
    (line,) = shown(capsys, DIRECTORY_EVENTS)
    assert "what=logged_in" in line
    assert "facts=alice@192.0.2.1 (01234567)" in line
