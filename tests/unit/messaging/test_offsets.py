"""What is committed is below everything that is not done."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.log import LogUnavailable, Record, TopicPartition
from shared.messaging.offsets import LowWater

PLACE = TopicPartition("t", 0)


class Group:
    """Notes what is committed; `away` of the calls fail, the log being away."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.told: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.away:
            self.away -= 1
            raise LogUnavailable("away")
        self.told.append(dict(offsets))


def record(offset: int, partition: int = 0) -> Record:
    return Record("t", partition, offset, 1, None, b"")


async def test_the_mark_waits_for_the_oldest() -> None:
    low = LowWater()
    for offset in (5, 6, 9):
        low.begin(record(offset))
    assert low.mark(PLACE) == 5
    low.done(record(6))
    low.done(record(9))
    group = Group()
    await low.commit(group)
    assert group.told == []
    low.done(record(5))
    await low.commit(group)
    await low.commit(group)
    assert group.told == [{PLACE: 10}]


def test_a_gap_is_passed() -> None:
    low = LowWater()
    low.begin(record(1))
    low.begin(record(50))
    low.done(record(1))
    assert low.mark(PLACE) == 50


def test_done_twice_or_of_a_stranger_changes_nothing() -> None:
    low = LowWater()
    low.begin(record(1))
    low.done(record(1))
    low.done(record(1))
    low.done(record(8, partition=3))
    low.done(record(2))
    low.begin(record(2))
    assert low.mark(PLACE) == 2
    low.done(record(2))
    assert low.mark(PLACE) == 3


async def test_revoked_partitions_are_forgotten_and_may_begin_again() -> None:
    low = LowWater()
    low.begin(record(1))
    low.begin(record(1, partition=1))
    low.forget([0])
    low.done(record(1))
    assert low.mark(PLACE) is None
    low.begin(record(1))
    low.done(record(1, partition=1))
    group = Group()
    await low.commit(group)
    assert group.told == [{TopicPartition("t", 1): 2}]


@pytest.mark.parametrize("away", [1, 2, 5])
async def test_what_the_group_did_not_acknowledge_is_committed_later(away: int) -> None:
    low, group = LowWater(), Group(away)
    low.begin(record(1))
    low.done(record(1))
    for _ in range(away):
        with pytest.raises(LogUnavailable):
            await low.commit(group)
    low.begin(record(7, partition=1))
    low.done(record(7, partition=1))
    await low.commit(group)
    assert group.told == [{PLACE: 2, TopicPartition("t", 1): 8}]


async def test_what_is_done_while_a_commit_is_under_way_is_in_the_next() -> None:
    low, group = LowWater(), Group()
    for offset in (1, 2):
        low.begin(record(offset))
    low.done(record(1))

    class Slow(Group):
        async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
            low.done(record(2))

    await low.commit(Slow())
    await low.commit(group)
    assert group.told == [{PLACE: 3}]


@pytest.mark.parametrize("forget", [lambda low: low.forget([0]), lambda low: low.forget_place(PLACE)])
async def test_a_partition_that_begins_again_during_a_commit_owes_nothing_to_that(forget: Callable[[LowWater], None]) -> None:
    low, group = LowWater(), Group()
    low.begin(record(8))
    low.done(record(8))

    class Rebalances(Group):
        async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
            forget(low)
            low.begin(record(3))

    await low.commit(Rebalances())
    low.done(record(3))
    await low.commit(group)
    assert group.told == [{PLACE: 4}]


@pytest.mark.parametrize("again", [[2], [5], [0, 1, 2], [2, 3, 4, 5, 6]])
async def test_a_log_that_lost_its_tail_is_read_anew_and_the_mark_goes_back(again: list[int]) -> None:
    low = LowWater()
    for offset in (4, 5):
        low.begin(record(offset))
    low.done(record(4))
    group = Group()
    await low.commit(group)
    assert group.told == [{PLACE: 5}]
    for offset in again:
        low.begin(record(offset))
        assert low.mark(PLACE) == again[0]
    for offset in again:
        low.done(record(offset))
    await low.commit(group)
    assert group.told == [{PLACE: 5}, {PLACE: again[-1] + 1}]


@given(st.lists(st.integers(0, 1000), unique=True, min_size=1).map(sorted), st.data())
def test_nothing_undone_is_ever_below_the_mark(offsets: list[int], data: st.DataObject) -> None:
    low = LowWater()
    for offset in offsets:
        low.begin(record(offset))
    undone = set(offsets)
    for offset in data.draw(st.permutations(offsets)):
        low.done(record(offset))
        undone.remove(offset)
        mark = low.mark(PLACE)
        assert mark is not None
        assert all(one >= mark for one in undone)
        assert mark == (min(undone) if undone else offsets[-1] + 1)
