"""What is appended can be read: offsets, order, bytes, bounds, tails."""

import asyncio

import pytest

from shared.messaging.log import LogUnavailable, Message, Record, Refused
from tests.conformance.log.support import WAIT_S, Bench, Recorder, taken, until


async def test_offsets_count_up_in_each_partition_by_itself(bench: Bench) -> None:
    assert await bench.write("plain", b"a", b"b", b"c", partition=1) == [0, 1, 2]
    assert await bench.write("plain", b"d", partition=2) == [0]
    assert await bench.log.bounds(bench.place("plain", 1)) == (0, 3)
    assert await bench.log.bounds(bench.place("plain", 0)) == (0, 0)
    places = [bench.place("plain", number) for number in range(3)]
    assert await bench.log.bounds_of(places) == dict(zip(places, ((0, 0), (0, 3), (0, 1)), strict=True))
    assert await bench.log.bounds_of([]) == {}


@pytest.mark.parametrize("short", ["plain", "brief", "latest"])
async def test_a_partition_keeps_the_order_of_its_appends(bench: Bench, short: str) -> None:
    values = [b"%d" % n for n in range(300)]
    messages = [bench.message(short, value, n % 2, b"key %d" % n) for n, value in enumerate(values)]
    offsets = await asyncio.gather(*map(bench.log.append, messages))
    for partition in (0, 1):
        records = await bench.everything(short, partition)
        assert [record.value for record in records] == values[partition::2]
        assert [record.offset for record in records] == list(offsets[partition::2]) == list(range(150))


@pytest.mark.parametrize("short", ["plain", "brief"])
async def test_bytes_come_back_as_they_were_sent(bench: Bench, short: str) -> None:
    headers = (("ce_id", b"1"), ("raw", bytes(range(256))), ("twice", b"a"), ("twice", b"b"), ("empty", b""), ("umlaut", "ä".encode()))
    message = Message(bench.name(short), 2, b"\x00\xff key", bytes(range(256)), headers)
    await bench.log.append(message)
    (record,) = await bench.everything(short, 2)
    assert record == Record(message.topic, 2, 0, record.timestamp_ms, message.key, message.value, headers)
    assert record.timestamp_ms > 1_600_000_000_000
    assert record.place == bench.place(short, 2)


async def test_a_key_may_be_missing_where_nothing_is_compacted(bench: Bench) -> None:
    await bench.log.append(bench.message("plain", b"v", key=None))
    assert (await bench.everything("plain"))[0].key is None


async def test_a_tombstone_comes_back_as_none(bench: Bench) -> None:
    await bench.log.append(bench.message("latest", b"v"))
    await bench.log.append(bench.message("latest", None))
    assert (await bench.everything("latest"))[-1].value is None


async def test_compacted_topics_show_the_latest_of_every_key(bench: Bench) -> None:
    for turn in range(3):
        for key in (b"a", b"b", b"c"):
            await bench.log.append(bench.message("latest", b"%s%d" % (key, turn), key=key))
    folded = {record.key: record.value for record in await bench.everything("latest")}
    assert folded == {b"a": b"a2", b"b": b"b2", b"c": b"c2"}


async def test_mistakes_are_refused(bench: Bench) -> None:
    for message in (
        Message(bench.name("plain") + "-unknown", 0, b"k", b"v"),
        bench.message("plain", b"v", partition=3),
        bench.message("plain", b"v", partition=-1),
        bench.message("plain", None),
        bench.message("latest", b"v", key=None),
        bench.message("plain", b"v" * (256 * 1024)),
    ):
        with pytest.raises(Refused):
            await bench.log.append(message)
    with pytest.raises(Refused):
        await bench.log.partitions(bench.name("plain") + "-unknown")


async def test_the_largest_record_fits(bench: Bench) -> None:
    await bench.log.append(bench.message("plain", b"v" * (256 * 1024 - 200)))
    assert len((await bench.everything("plain"))[0].value or b"") == 256 * 1024 - 200


async def test_the_partition_count_is_known(bench: Bench) -> None:
    assert await bench.log.partitions(bench.name("plain")) == 3
    assert await bench.log.partitions(bench.name("few")) == 2


@pytest.mark.parametrize("short", ["plain", "brief"])
async def test_a_read_keeps_to_its_bounds(bench: Bench, short: str) -> None:
    await bench.write(short, *(b"%d" % n for n in range(10)))
    place = bench.place(short)

    async def values(start: int, end: int) -> list[bytes | None]:
        return [record.value async for batch in bench.log.read(place, start, end) for record in batch]

    assert await values(3, 6) == [b"3", b"4", b"5"]
    assert await values(0, 10) == [b"%d" % n for n in range(10)]
    assert await values(4, 4) == []
    assert await values(0, 0) == []


async def test_a_read_past_the_end_stops_at_the_end(bench: Bench) -> None:
    await bench.write("plain", b"a", b"b")
    async with asyncio.timeout(WAIT_S):
        records = [record async for batch in bench.log.read(bench.place("plain"), 0, 99) for record in batch]
    assert [record.value for record in records] == [b"a", b"b"]


@pytest.mark.parametrize("short", ["plain", "brief"])
async def test_a_tail_starts_at_its_offset_and_follows(bench: Bench, short: str) -> None:
    await bench.write(short, b"a", b"b", b"c")
    tail = asyncio.create_task(taken(bench.log, bench.name(short), {0: 1, 1: 0}, 4))
    await asyncio.sleep(0.05)
    await bench.write(short, b"d")
    await bench.write(short, b"e", partition=1)
    await bench.write(short, b"not asked for", partition=2)
    records = await tail
    assert [record.value for record in records if record.partition == 0] == [b"b", b"c", b"d"]
    assert [record.value for record in records if record.partition == 1] == [b"e"]


async def test_tails_do_not_share(bench: Bench) -> None:
    await bench.write("plain", b"a", b"b")
    both = await asyncio.gather(*(taken(bench.log, bench.name("plain"), {0: 0}, 2) for _ in range(2)))
    assert [record.value for record in both[0]] == [record.value for record in both[1]] == [b"a", b"b"]


async def test_a_closed_tail_ends_its_iteration(bench: Bench) -> None:
    tail = bench.log.tail(bench.name("plain"), {0: 0})
    seen: list[Record] = []

    async def follow() -> None:
        async for batch in tail:
            seen.extend(batch)

    task = asyncio.create_task(follow())
    await bench.write("plain", b"a")
    await until(lambda: len(seen) == 1)
    await tail.close()
    await asyncio.wait_for(task, WAIT_S)
    assert len(seen) == 1


async def test_a_tail_that_fetches_is_fresh(bench: Bench) -> None:
    await bench.write("plain", b"a")
    tail = bench.log.tail(bench.name("plain"), {0: 0})
    async with asyncio.timeout(WAIT_S):
        async for _ in tail:
            break
    assert 0 <= tail.fetched_age() < WAIT_S
    await tail.close()


async def test_a_closed_log_takes_nothing(bench: Bench) -> None:
    await bench.log.close()
    with pytest.raises(LogUnavailable):
        await bench.log.append(bench.message("plain", b"v"))
    with pytest.raises(LogUnavailable):
        await bench.log.append(bench.message("brief", b"v"))
    with pytest.raises(LogUnavailable):
        await bench.log.bounds(bench.place("plain"))
    with pytest.raises(LogUnavailable):
        await bench.log.join(bench.group("g"), [bench.name("plain")], Recorder())


async def test_a_tail_of_a_closed_log_says_so(bench: Bench) -> None:
    await bench.write("plain", b"a")
    tail = bench.log.tail(bench.name("plain"), {0: 0})
    seen: list[Record] = []

    async def follow() -> None:
        async for batch in tail:
            seen.extend(batch)

    following = asyncio.create_task(follow())
    await until(lambda: len(seen) == 1)
    await bench.log.close()
    with pytest.raises(LogUnavailable):
        await asyncio.wait_for(following, WAIT_S)
