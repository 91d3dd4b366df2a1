"""Our way to write and read a fetch is aiokafka's, byte for byte; only what tells of nothing is left out."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.messaging.kafka import client
from shared.messaging.kafka.fetching import QuickRequest, QuickResponse

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
NAMES = st.sampled_from(("executor.steps", "planner.plans", "Zoë ☂", ""))
ABORTED = st.none() | st.lists(st.tuples(INT64, INT64), max_size=2)
PARTITIONS = st.lists(
    st.tuples(INT32, st.sampled_from((0, 0, 0, 1, 6)), INT64, INT64, INT64, ABORTED, INT32, st.none() | st.binary(max_size=20)), max_size=4
)
ANSWERS = st.tuples(INT32, st.integers(-100, 100), INT32, st.lists(st.tuples(NAMES, PARTITIONS), max_size=4))
ASKED = st.lists(st.tuples(NAMES, st.lists(st.tuples(INT32, INT32, INT64, INT64, INT32), max_size=50)), max_size=4)


def telling(topics: Any) -> list[Any]:
    kept = [(name, [one for one in partitions if one[1] or one[-1]]) for name, partitions in topics]
    return [(name, partitions) for name, partitions in kept if partitions]


@settings(max_examples=200, deadline=None, database=None)
@given(ANSWERS)
def test_an_answer_reads_as_aiokafkas_but_for_what_tells_of_nothing(answer: tuple[int, int, int, list[Any]]) -> None:
    raw = FetchResponse_v11(*answer).encode()
    theirs = FetchResponse_v11.decode(raw)
    for read in (QuickResponse.decode(raw), QuickResponse.decode(BytesIO(raw))):
        assert (read.throttle_time_ms, read.error_code, read.session_id) == (theirs.throttle_time_ms, theirs.error_code, theirs.session_id)
        assert read.topics == telling(theirs.topics)


@settings(max_examples=100, deadline=None, database=None)
@given(INT32, INT32, INT32, INT32, st.integers(0, 1), ASKED, NAMES)
def test_a_request_is_written_as_aiokafkas(replica: int, wait: int, least: int, most: int, level: int, topics: Any, rack: str) -> None:
    for forgotten in ([], [("executor.steps", [1, 2])]):
        asked = (replica, wait, least, most, level, 0, -1, topics, forgotten, rack)
        assert QuickRequest(*asked).encode() == FetchRequest_v11(*asked).encode()


@settings(max_examples=50, deadline=None, database=None)
@given(ANSWERS, st.data())
def test_an_answer_that_is_cut_off_is_refused_and_never_half_read(answer: Any, data: st.DataObject) -> None:
    raw = FetchResponse_v11(*answer).encode()
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    with pytest.raises(Exception):  # noqa: B017 - whatever is raised closes the connection
        QuickResponse.decode(cut)


def test_consumers_of_ours_use_it() -> None:
    assert client.__name__  # importing it installs it
    built = FetchRequest(1, 1, 1, 0, [("t", [(0, 5, 100)])]).prepare({1: (4, 17)})
    assert isinstance(built, QuickRequest) and built.RESPONSE_TYPE is QuickResponse
    older = FetchRequest(1, 1, 1, 0, [("t", [(0, 5, 100)])]).prepare({1: (4, 10)})
    assert older.API_VERSION == 10
