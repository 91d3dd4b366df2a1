"""Consumer groups: where they start, what they share, how they hand over."""

import asyncio

import pytest

from shared.messaging.log import LogUnavailable, Mismatched
from tests.conformance.log.support import Bench, Recorder, Slow, joined, until


async def _leave(*members: Recorder) -> None:
    for member in members:
        assert member.membership is not None
        await member.membership.leave()


async def test_a_new_group_starts_at_the_beginning(bench: Bench) -> None:
    await bench.write("plain", b"a", b"b")
    member = await joined(bench.log, bench.group("g1"), [bench.name("plain")])
    await until(lambda: len(member.records) == 2)
    await bench.write("plain", b"c", partition=2)
    await until(lambda: len(member.records) == 3)
    assert member.values == [b"a", b"b", b"c"]
    assert member.held == {0, 1, 2}
    await _leave(member)
    assert member.events[-2:] == [("halted", frozenset({0, 1, 2})), ("kept", frozenset())]


@pytest.mark.parametrize("short", ["plain", "brief"])
async def test_a_group_goes_on_from_what_it_committed(bench: Bench, short: str) -> None:
    await bench.write(short, b"a", b"b", b"c")
    first = await joined(bench.log, bench.group("g2"), [bench.name(short)])
    await until(lambda: len(first.records) == 3)
    assert first.membership is not None
    assert await first.membership.committed(bench.place(short)) is None
    await first.membership.commit({bench.place(short): 2})
    assert await first.membership.committed(bench.place(short)) == 2
    await _leave(first)
    second = await joined(await bench.another(), bench.group("g2"), [bench.name(short)])
    await until(lambda: bool(second.records))
    assert second.values == [b"c"]
    assert second.membership is not None
    assert await second.membership.committed(bench.place(short)) == 2
    await _leave(second)


async def test_groups_do_not_share(bench: Bench) -> None:
    await bench.write("plain", b"a")
    members = [await joined(bench.log, group, [bench.name("plain")]) for group in (bench.group("g3"), bench.group("g4"))]
    await until(lambda: all(member.values == [b"a"] for member in members))
    await _leave(*members)


async def test_what_a_failed_member_did_not_commit_comes_again(bench: Bench) -> None:
    await bench.write("plain", b"a", b"bad", b"c")
    first = await joined(bench.log, bench.group("g5"), [bench.name("plain")], fail_on=b"bad")
    assert first.membership is not None
    membership = first.membership
    await until(lambda: membership.failure is not None)
    assert isinstance(membership.failure, ValueError)
    second = await joined(await bench.another(), bench.group("g5"), [bench.name("plain")])
    await until(lambda: len(second.records) == 3)
    assert second.values == [b"a", b"bad", b"c"]
    await _leave(second)


async def test_a_member_of_a_closed_log_has_failed(bench: Bench) -> None:
    member = await joined(bench.log, bench.group("g12"), [bench.name("plain")])
    await until(lambda: bool(member.held))
    await bench.log.close()
    assert member.membership is not None
    assert isinstance(member.membership.failure, LogUnavailable)
    await member.membership.leave()


async def test_more_members_than_partitions_leave_some_without(bench: Bench) -> None:
    members = [await joined(await bench.another(), bench.group("g13"), [bench.name("few")]) for _ in range(3)]
    await until(lambda: sorted(len(member.held) for member in members) == [0, 1, 1])
    await bench.write("few", b"a")
    await bench.write("few", b"b", partition=1)
    await until(lambda: sum(len(member.records) for member in members) == 2)
    await _leave(*members)


async def test_a_member_that_cannot_take_over_gives_its_share_back(bench: Bench) -> None:
    class Unable(Recorder):
        async def assigned(self, partitions: frozenset[int]) -> None:
            raise ValueError("cannot")

    able = await joined(bench.log, bench.group("g14"), [bench.name("plain")])
    await until(lambda: len(able.held) == 3)
    unable = Unable()
    membership = await (await bench.another()).join(bench.group("g14"), [bench.name("plain")], unable)
    await until(lambda: membership.failure is not None)
    await until(lambda: len(able.held) == 3)
    await bench.write("plain", b"a")
    await until(lambda: able.values == [b"a"])
    await _leave(able)


@pytest.mark.parametrize("call", ["halted", "kept"])
async def test_a_member_that_cannot_let_go_does_not_keep_its_share(bench: Bench, call: str) -> None:
    class Unable(Recorder):
        async def cannot(self, *_: object) -> None:
            if self.held:
                raise ValueError("cannot")

    setattr(Unable, call, Unable.cannot)
    unable = Unable()
    unable.membership = await bench.log.join(bench.group("g15"), [bench.name("plain")], unable)
    await until(lambda: len(unable.held) == 3)
    able = await joined(await bench.another(), bench.group("g15"), [bench.name("plain")])
    await until(lambda: len(able.held) == 3)
    assert isinstance(unable.membership.failure, ValueError)
    await _leave(able)


async def test_a_commit_of_what_is_not_ours_is_ignored(bench: Bench) -> None:
    await bench.write("plain", b"a", b"b")
    first = await joined(bench.log, bench.group("g6"), [bench.name("plain")])
    await until(lambda: len(first.records) == 2)
    await _leave(first)
    assert first.membership is not None
    await first.membership.commit({bench.place("plain"): 2})
    second = await joined(await bench.another(), bench.group("g6"), [bench.name("plain")])
    await until(lambda: len(second.records) == 2)
    await _leave(second)


async def test_members_share_the_same_numbers_of_all_topics(bench: Bench, wide: list[str]) -> None:
    """One to five members join, then leave: every number has one owner, over all topics (architecture §4.1)."""
    members: list[Recorder] = []

    def settled() -> bool:
        return sorted(number for member in members for number in member.held) == list(range(12)) and all(member.held for member in members)

    async def whole_turn() -> None:
        for member in members:
            member.records.clear()
        for short in ("wide", "wider", "widest"):
            await asyncio.gather(*(bench.log.append(bench.message(short, b"v", number)) for number in range(12)))
        await until(lambda: sum(len(member.records) for member in members) >= 36)
        assert sum(len(member.records) for member in members) == 36
        for member in members:
            for name in wide:
                assert {record.partition for record in member.records if record.topic == name} == member.held

    for _ in range(5):
        members.append(await joined(await bench.another(), bench.group("g7"), wide, commits=True))
        await until(settled)
        await whole_turn()
    while len(members) > 1:
        await _leave(members.pop(0))
        await until(settled)
        await whole_turn()
    await _leave(*members)


async def test_somebody_lets_go_before_somebody_else_is_assigned(bench: Bench, wide: list[str]) -> None:
    owner: dict[int, str] = {}

    class Noting(Recorder):
        name = ""

        async def halted(self) -> None:
            await asyncio.sleep(0.05)
            await super().halted()
            for number in self.held:
                assert owner.pop(number) == self.name

        async def kept(self, partitions: frozenset[int]) -> None:
            await super().kept(partitions)
            for number in partitions:
                assert owner.setdefault(number, self.name) == self.name

        async def prepare(self, partitions: frozenset[int]) -> None:
            for number in partitions:
                assert owner.setdefault(number, self.name) == self.name

    members = []
    for name in ("first", "second", "third"):
        member = Noting()
        member.name = name
        member.membership = await (await bench.another()).join(bench.group("g8"), wide[:1], member)
        members.append(member)
        await until(lambda: sum(len(one.held) for one in members) == 12 and all(one.held for one in members))
    await _leave(members.pop(0))
    await until(lambda: sum(len(one.held) for one in members) == 12)
    assert [member.membership.failure for member in members if member.membership] == [None, None]
    await _leave(*members)


def _whole(*members: Recorder) -> bool:
    return sorted(number for member in members for number in member.held) == list(range(12))


async def test_what_a_member_keeps_is_not_assigned_again_and_its_records_go_on(bench: Bench, wide: list[str]) -> None:
    """Nothing is committed here: what is kept goes on all the same, without a record that comes twice or not at all."""
    stays = await joined(bench.log, bench.group("g16"), wide[:1])
    await until(lambda: _whole(stays))
    written: list[bytes] = []

    async def write(value: bytes) -> None:
        written.append(value)
        await asyncio.gather(*(bench.log.append(bench.message("wide", value, number)) for number in range(12)))

    await write(b"alone")
    await until(lambda: len(stays.records) == 12)
    comes = await joined(await bench.another(), bench.group("g16"), wide[:1])
    for n in range(20):  # while they share anew
        await write(b"%d" % n)
    await until(lambda: _whole(stays, comes) and bool(comes.held))
    kept = stays.held
    await write(b"together")
    await _leave(comes)
    await until(lambda: len(stays.held) == 12)
    await write(b"alone again")
    await until(lambda: stays.values.count(b"alone again") == 12)
    for number in kept:
        assert [record.value for record in stays.records if record.partition == number] == written
    first, *later = [numbers for what, numbers in stays.events if what == "assigned"]
    assert len(first) == 12
    assert not any(numbers & kept for numbers in later)
    assert ("kept", kept) in stays.events
    await _leave(stays)


async def test_what_is_kept_flows_while_something_else_is_prepared(bench: Bench, wide: list[str]) -> None:
    stays = Slow()
    stays.go_on.set()
    stays.membership = await bench.log.join(bench.group("g17"), wide[:1], stays)
    await until(lambda: _whole(stays))
    goes = await joined(await bench.another(), bench.group("g17"), wide[:1])
    await until(lambda: _whole(stays, goes) and bool(goes.held))
    kept = stays.held
    stays.go_on.clear()
    await _leave(goes)
    await until(lambda: bool(stays.coming))
    for n in range(3):
        await asyncio.gather(*(bench.log.append(bench.message("wide", b"%d" % n, number)) for number in range(12)))
    await until(lambda: sum(record.partition in kept for record in stays.records) == 3 * len(kept))
    assert {record.partition for record in stays.records} == kept
    stays.go_on.set()
    await until(lambda: len(stays.records) == 36)
    await _leave(stays)


async def test_paused_numbers_wait_and_lose_nothing(bench: Bench) -> None:
    member = await joined(bench.log, bench.group("g9"), [bench.name("plain")])
    await until(lambda: member.held == {0, 1, 2})
    assert member.membership is not None
    member.membership.pause(frozenset({1}))
    await bench.write("plain", b"a", partition=1)
    await bench.write("plain", b"b", partition=0)
    await until(lambda: member.values == [b"b"])
    await asyncio.sleep(0.05)
    assert member.values == [b"b"]
    member.membership.resume(frozenset({1}))
    await until(lambda: member.values == [b"b", b"a"])
    await _leave(member)


async def test_unlike_partition_counts_do_not_make_a_group(bench: Bench) -> None:
    member = Recorder()
    with pytest.raises(Mismatched):
        await bench.log.join(bench.group("g10"), [bench.name("plain"), bench.name("few")], member)


async def test_a_living_member_is_heard_of(bench: Bench) -> None:
    member = await joined(bench.log, bench.group("g11"), [bench.name("plain")])
    await until(lambda: bool(member.held))
    membership = member.membership
    assert membership is not None
    await until(lambda: 0 <= membership.heartbeat_age() < 3)
    assert membership.failure is None
    await _leave(member)


async def test_records_of_unhurried_topics_come_as_well_in_order_and_once(bench: Bench, wide: list[str]) -> None:
    member = Recorder()
    member.membership = await bench.log.join(bench.group("g18"), wide[:2], member, unhurried=wide[:1])
    await until(lambda: _whole(member))
    for n in range(20):
        await asyncio.gather(*(bench.log.append(bench.message(short, b"%d" % n, n % 3)) for short in ("wide", "wider")))
    await until(lambda: len(member.records) == 40)
    for name in wide[:2]:
        for number in range(3):
            mine = [record for record in member.records if record.place == (name, number)]
            assert [record.value for record in mine] == [b"%d" % n for n in range(number, 20, 3)]
            assert [record.offset for record in mine] == list(range(len(mine)))
    await _leave(member)
