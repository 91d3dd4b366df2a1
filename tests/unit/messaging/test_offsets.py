"""What is committed is below everything that is not done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.log import Record, TopicPartition
from shared.messaging.offsets import LowWater

PLACE = TopicPartition("t", 0)


def record(offset: int, partition: int = 0) -> Record:
    return Record("t", partition, offset, 1, None, b"")


def test_the_mark_waits_for_the_oldest() -> None:
    low = LowWater()
    for offset in (5, 6, 9):
        low.begin(record(offset))
    assert low.mark(PLACE) == 5
    low.done(record(6))
    low.done(record(9))
    assert low.take() == {}
    low.done(record(5))
    assert low.take() == {PLACE: 10}
    assert low.take() == {}


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


def test_revoked_partitions_are_forgotten_and_may_begin_again() -> None:
    low = LowWater()
    low.begin(record(1))
    low.begin(record(1, partition=1))
    low.forget([0])
    low.done(record(1))
    assert low.mark(PLACE) is None
    low.begin(record(1))
    low.done(record(1, partition=1))
    assert low.take() == {TopicPartition("t", 1): 2}


@pytest.mark.parametrize("again", [[2], [5], [0, 1, 2], [2, 3, 4, 5, 6]])
def test_a_log_that_lost_its_tail_is_read_anew_and_the_mark_goes_back(again: list[int]) -> None:
    low = LowWater()
    for offset in (4, 5):
        low.begin(record(offset))
    low.done(record(4))
    assert low.take() == {PLACE: 5}
    for offset in again:
        low.begin(record(offset))
        assert low.mark(PLACE) == again[0]
    for offset in again:
        low.done(record(offset))
    assert low.take() == {PLACE: again[-1] + 1}


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
