"""What the SQLite file promises beyond the port: what was acknowledged survives, and others can read it meanwhile."""

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.kernel.clock import FixedClock
from shared.messaging.embedded import journal as embedded_journal
from shared.messaging.embedded import upkeep
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.embedded.sqlite_reader import LogFile
from shared.messaging.embedded.sqlite_store import LogInUse
from shared.messaging.log import LogUnavailable, Message, Record, Refused, TopicPartition
from tests.conformance.log.conftest import DAY, topics
from tests.conformance.log.support import WAIT_S, joined, taken, until

HEADERS = (("ce_type", b"seen"), ("raw", b"\xff"), ("ce_type", b"twice"))


def message(topic: str, value: bytes | None, partition: int = 0, key: bytes = b"k") -> Message:
    return Message(topic, partition, key, value, HEADERS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "with blank" / "log.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[EmbeddedLog]:
    path.parent.mkdir()
    log = await EmbeddedLog.open(topics(), path)
    yield log
    await log.close()


async def read(log: EmbeddedLog | LogFile, topic: str, partition: int = 0) -> list[Record]:
    place = TopicPartition(topic, partition)
    return [record async for batch in log.read(place, *await log.bounds(place)) for record in batch]


async def test_a_reopened_log_goes_on_where_it_was(log: EmbeddedLog, path: Path) -> None:
    for value in (b"a", b"b"):
        await log.append(message("plain", value))
    await log.append(message("brief", b"lost"))
    before = await read(log, "plain")
    member = await joined(log, "g", ["plain", "brief"])
    await until(lambda: len(member.records) == 3)
    assert member.membership is not None
    await member.membership.commit({TopicPartition("plain", 0): 1, TopicPartition("brief", 0): 1})
    await member.membership.leave()
    await log.close()

    again = await EmbeddedLog.open(topics(), path)
    assert await read(again, "plain") == before
    assert before[0].headers == HEADERS
    assert await read(again, "brief") == []
    assert await again.append(message("plain", b"c")) == 2
    member = await joined(again, "g", ["plain", "brief"])
    await until(lambda: len(member.records) == 2)
    assert member.values == [b"b", b"c"]
    await again.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from shared.messaging.embedded.log import EmbeddedLog
from tests.conformance.log.conftest import topics
from tests.conformance.log.test_durability import message

async def main():
    log = await EmbeddedLog.open(topics(), Path(sys.argv[1]))
    async def write(partition):
        n = 0
        while True:
            offset = await log.append(message("plain", b"%d" % n, partition))
            sys.stdout.write(f"{partition} {offset}\\n")
            sys.stdout.flush()
            n += 1
    await asyncio.gather(*map(write, range(3)))

asyncio.run(main())
"""


async def test_a_killed_process_has_kept_what_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    root = Path(__file__).parents[3]
    process = subprocess.Popen(  # noqa: ASYNC220 - it is the one that gets killed
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert process.stdout is not None
    acknowledged = [await asyncio.to_thread(process.stdout.readline) for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    process.stdout.close()

    log = await EmbeddedLog.open(topics(), path)
    for partition in range(3):
        offsets = [int(line.split()[1]) for line in acknowledged if line.startswith(f"{partition} ")]
        records = await read(log, "plain", partition)
        assert offsets == list(range(len(offsets)))
        assert [record.value for record in records[: len(offsets)]] == [b"%d" % n for n in offsets]
    await log.close()


async def test_what_left_memory_is_read_from_the_file(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STORED_WINDOW_BYTES", 20_000)
    values = [b"%d" % n for n in range(1700)]
    await asyncio.gather(*(log.append(message("plain", value)) for value in values))
    await log.append(message("plain", b"last"))
    monkeypatch.setattr(upkeep, "GROWTH_BYTES", 0)
    monkeypatch.setattr(upkeep, "STORED_WINDOW_BYTES", 0)
    await log.append(message("brief", b"x"))
    assert log._partitions["plain"][0].records == []
    assert [record.value for record in await read(log, "plain")] == [*values, b"last"]
    assert len(await taken(log, "plain", {0: 600}, 1101)) == 1101
    member = await joined(log, "g", ["plain"])
    await until(lambda: len(member.records) == 1701)
    assert member.values == [*values, b"last"]
    await member.membership.leave()  # type: ignore[union-attr]


async def test_another_process_reads_the_file_while_it_is_written(log: EmbeddedLog, path: Path) -> None:
    await log.append(message("plain", b"a"))
    other = LogFile(path)
    assert await other.topics() == sorted(name for name in topics() if name not in ("brief", "wider"))
    assert await other.partitions("plain") == 3
    tail = asyncio.create_task(taken(other, "plain", {0: 0, 1: 0}, 2))
    await asyncio.sleep(0.05)
    await log.append(message("plain", b"b", 1))
    assert [record.value for record in await tail] == [b"a", b"b"]
    assert await read(other, "plain") == await read(log, "plain")
    with pytest.raises(Refused):
        await other.partitions("brief")
    await other.close()


async def test_a_person_can_read_the_file(log: EmbeddedLog, path: Path) -> None:
    await log.append(message("plain", b"\x81\xa1a\x01"))
    connection = sqlite3.connect(path)
    topic, key, value, headers = connection.execute("select topic, key, value, headers from records").fetchone()
    assert (topic, key, value) == ("plain", b"k", b"\x81\xa1a\x01")
    assert json.loads(headers) == [["ce_type", "seen"], ["raw", {"base64": "/w=="}], ["ce_type", "twice"]]
    connection.close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_a_file_has_one_writer(log: EmbeddedLog, path: Path) -> None:
    with pytest.raises(LogInUse):
        await EmbeddedLog.open(topics(), path)


async def test_a_topic_does_not_lose_partitions(log: EmbeddedLog, path: Path) -> None:
    await log.close()
    with pytest.raises(Refused, match="plain has 3 partitions"):
        await EmbeddedLog.open(topics() | {"plain": replace(topics()["plain"], partitions=2)}, path)


async def test_a_file_that_refuses_is_unavailable_and_leaves_no_gap(log: EmbeddedLog, path: Path) -> None:
    await log.append(message("plain", b"a"))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("create trigger full before insert on records begin select raise(abort, 'disk full'); end")
    with pytest.raises(LogUnavailable, match="disk full"):
        await log.append(message("plain", b"b"))
    blocker.execute("drop trigger full")
    blocker.close()
    assert await log.append(message("plain", b"c")) == 1
    assert [record.value for record in await read(log, "plain")] == [b"a", b"c"]


async def test_while_the_file_refuses_nothing_is_taken_and_that_is_told_until_it_takes_a_trial(
    log: EmbeddedLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_journal, "TRIAL_S", 0.01)
    [volatile] = [name for name, topic in topics().items() if topic.volatile][:1]
    await log.append(message(volatile, b"a"))
    assert log.lacking() == {}
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("create trigger full before insert on records begin select raise(abort, 'disk full'); end")
    with pytest.raises(LogUnavailable, match="disk full"):
        await log.append(message("plain", b"b"))
    assert log.lacking() == {"log.file": False}
    with pytest.raises(LogUnavailable, match="disk full"):
        await log.append(message(volatile, b"c"))
    await asyncio.sleep(0.05)  # trials that are refused
    assert log.lacking() == {"log.file": False}
    blocker.execute("drop trigger full")
    await until(lambda: log.lacking() == {})
    await log.append(message(volatile, b"d"))
    await log.append(message("plain", b"e"))
    assert [record.value for record in await read(log, "plain")] == [b"e"]
    assert [record.value for record in await read(log, volatile)] == [b"a", b"d"]
    assert blocker.execute("select count(*) from records where topic = ''").fetchone() == (0,)
    blocker.close()


async def test_the_first_who_asks_after_the_disk_has_room_is_served(log: EmbeddedLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_journal, "TRIAL_S", 3600.0)
    [volatile] = [name for name, topic in topics().items() if topic.volatile][:1]
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("create trigger full before insert on records begin select raise(abort, 'disk full'); end")
    with pytest.raises(LogUnavailable):
        await log.append(message("plain", b"b"))
    blocker.execute("drop trigger full")
    blocker.close()
    await log.append(message(volatile, b"c"))
    assert log.lacking() == {}


async def test_a_log_whose_file_refuses_can_be_closed(log: EmbeddedLog, path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    for table in ("records", "group_offsets"):
        blocker.execute(f"create trigger full_{table} before insert on {table} begin select raise(abort, 'disk full'); end")
    blocker.close()
    with pytest.raises(LogUnavailable):
        await log.append(message("plain", b"b"))
    log._note_offset("group", TopicPartition("plain", 0), 1)
    await asyncio.wait_for(log.close(), WAIT_S)


async def test_a_file_that_does_not_answer_is_unavailable_before_it_says_so_itself(
    log: EmbeddedLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("begin immediate")
    with monkeypatch.context() as shipped:
        shipped.setattr(embedded_journal, "APPEND_TIMEOUT_S", 1.0)  # of the file's own patience of 5 s
        first = asyncio.create_task(log.append(message("plain", b"a")))
        await asyncio.sleep(0.01)
    second = asyncio.create_task(log.append(message("plain", b"b")))
    for task in (first, second):
        with pytest.raises(LogUnavailable, match="in time"):
            await asyncio.wait_for(task, WAIT_S)
    with pytest.raises(LogUnavailable, match="does not answer"):
        await log.append(message("plain", b"c"))
    blocker.execute("rollback")
    blocker.close()
    await until(lambda: log._partitions["plain"][0].next == 1)
    assert await log.append(message("plain", b"d")) == 1
    assert [record.value for record in await read(log, "plain")] == [b"a", b"d"]


@pytest.mark.parametrize("stored", [False, True])
async def test_retention_drops_what_is_old_and_keeps_the_offsets(tmp_path: Path, stored: bool) -> None:
    clock = FixedClock()
    path = tmp_path / "log.db" if stored else None
    log = await EmbeddedLog.open(topics(), path, clock)
    for n in range(1200):
        if n == 1100:
            clock.advance(DAY - 10)
        await log.append(message("plain", b"%d" % n))
    clock.advance(20)
    await log.keep_up()
    assert await log.bounds(TopicPartition("plain", 0)) == (1100, 1200)
    assert [record.offset for record in await read(log, "plain")] == list(range(1100, 1200))
    clock.advance(DAY)
    await log.keep_up()
    assert await log.bounds(TopicPartition("plain", 0)) == (1200, 1200)
    if stored:
        await log.close()
        log = await EmbeddedLog.open(topics(), path, clock)
    assert await log.append(message("plain", b"next")) == 1200
    await log.close()


@pytest.mark.parametrize("stored", [False, True])
async def test_compaction_keeps_the_latest_and_buries_tombstones(tmp_path: Path, stored: bool) -> None:
    clock = FixedClock()
    log = await EmbeddedLog.open(topics(), tmp_path / "log.db" if stored else None, clock)
    await log.append(message("latest", b"x", key=b"gone"))
    await log.append(message("latest", None, key=b"gone"))
    for n in range(700):
        await log.append(message("latest", b"%d" % n, key=b"%d" % (n % 7)))
    await log.keep_up()
    if stored:  # what is in memory is not compacted, as Kafka's head is not
        upkeep.bound_windows(log._all, 0)
    assert [record.value for record in await read(log, "latest")] == [None, *(b"%d" % n for n in range(693, 700))]
    assert await log.bounds(TopicPartition("latest", 0)) == (0, 702)
    clock.advance(2 * DAY)
    for n in range(700):
        await log.append(message("latest", b"%d" % n, key=b"%d" % (n % 7)))
    await log.keep_up()
    if stored:
        upkeep.bound_windows(log._all, 0)
    assert [record.value for record in await read(log, "latest")] == [b"%d" % n for n in range(693, 700)]
    assert len(await taken(log, "latest", {0: 0}, 7)) == 7
    await log.close()


async def test_memory_is_bounded_where_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "VOLATILE_BYTES", 100_000)
    monkeypatch.setattr(upkeep, "GROWTH_BYTES", 10_000)
    log = await EmbeddedLog.open(topics())
    for _ in range(2000):
        await log.append(message("brief", b"x" * 500))
    assert sum(partition.size for partition in log._partitions["brief"]) <= 110_000
    first, following = await log.bounds(TopicPartition("brief", 0))
    assert 0 < first < following == 2000
    assert [record.offset for record in await read(log, "brief")] == list(range(first, 2000))
    await log.close()


async def test_a_tail_goes_on_from_the_first_record_that_is_left(log: EmbeddedLog) -> None:
    for value in (b"a", b"b"):
        await log.append(message("brief", value))
    log._partitions["brief"][0].forget(1)
    assert [record.value for record in await taken(log, "brief", {0: 0}, 1)] == [b"b"]
