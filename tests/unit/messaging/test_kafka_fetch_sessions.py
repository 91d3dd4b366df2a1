"""A fetch session (KIP-227): whatever is asked for, refused, lost and sought, the broker reads what the consumer wants, from where it wants it."""

from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.messaging.kafka.fetch_sessions import FetchSession, SessionFetcher, SessionRequest
from shared.messaging.kafka.fetching import QuickRequest, QuickResponse

VERSIONS = {1: (4, 17)}
NOT_FOUND, WRONG_EPOCH = 70, 71
Wanted = dict[tuple[str, int], int]


@dataclass
class Broker:
    """What a broker does with sessions (KIP-227, "Fetch Session Caching"); `keeps` none where all its slots are taken."""

    keeps: bool = True
    held: dict[int, Wanted] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    last: int = 0

    def asked(self, request: QuickRequest) -> tuple[int, int, Wanted]:
        """The error, the session, and what is read for this request."""
        named = {(topic, one[0]): one[2] for topic, partitions in request.topics for one in partitions}
        session, epoch = request.session_id, request.session_epoch
        if epoch == 0:
            self.held.pop(session, None)
            if not self.keeps:
                return 0, 0, named
            self.last += 1
            self.held[self.last], self.epochs[self.last] = named, 1
            return 0, self.last, dict(named)
        if session not in self.held:
            return NOT_FOUND, 0, {}
        if epoch != self.epochs[session]:
            return WRONG_EPOCH, session, {}
        held = self.held[session]
        held |= named
        for topic, numbers in request.forgotten_topics_data:
            for number in numbers:
                del held[topic, number]
        self.epochs[session] += 1
        return 0, session, dict(held)


def request_for(wanted: Wanted, session: FetchSession) -> SessionRequest:
    return SessionRequest((250, 1, 1000, 0), 100, {TopicPartition(*place): at for place, at in wanted.items()}, session)


def fetched(wanted: Wanted, session: FetchSession, broker: Broker, fate: str = "answered") -> tuple[Wanted | None, QuickRequest]:
    """What the broker read, None where it read nothing for us; and the request as it went out."""
    request = request_for(wanted, session)
    struct = request.prepare(VERSIONS)
    error, kept, read = broker.asked(struct) if fate != "unsent" else (0, 0, {})
    if fate == "answered":
        request.answered(QuickResponse(0, error, kept, []))
    if not request.is_answered:
        session.forget()
    return read if request.is_answered else None, struct


WANTED = st.dictionaries(st.tuples(st.sampled_from(("steps", "plans")), st.integers(0, 3)), st.integers(0, 3), max_size=6)
FATES = st.sampled_from(("answered", "answered", "answered", "lost", "unsent"))
CHANGES = st.sampled_from(("", "", "", "forgets", "is full", "has room"))


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(st.tuples(WANTED, FATES, CHANGES), max_size=20))
def test_the_broker_reads_what_is_wanted_whatever_was_asked_before(steps: list[tuple[Wanted, str, str]]) -> None:
    session, broker = FetchSession(), Broker()
    for wanted, fate, change in steps:
        if change == "forgets":
            broker.held.clear()
        elif change:
            broker.keeps = change == "has room"
        read, _ = fetched(wanted, session, broker, fate)
        if read is None and fate == "answered":  # a session that the broker does not know: the next fetch names all
            read, _ = fetched(wanted, session, broker)
        assert read == (wanted if fate == "answered" else None)


def test_only_what_changed_is_named() -> None:
    session, broker = FetchSession(), Broker()
    places: Wanted = {(topic, number): 7 for topic in ("steps", "plans") for number in range(12)}
    _, first = fetched(places, session, broker)
    assert sum(len(of) for _, of in first.topics) == 24
    _, second = fetched(places, session, broker)
    assert (second.topics, second.forgotten_topics_data) == ([], [])
    moved = {**places, ("steps", 3): 9}
    del moved["plans", 1]
    read, third = fetched(moved, session, broker)
    assert third.topics == [("steps", [(3, -1, 9, -1, 100)])]
    assert third.forgotten_topics_data == [("plans", [1])]
    assert read == moved
    assert [one.session_epoch for one in (first, second, third)] == [0, 1, 2]


@pytest.mark.parametrize("error", [NOT_FOUND, WRONG_EPOCH, 76, -1])
def test_after_a_refusal_everything_is_named_again(error: int) -> None:
    session, broker = FetchSession(), Broker()
    fetched({("steps", 0): 1}, session, broker)
    refused = request_for({("steps", 0): 2}, session)
    refused.prepare(VERSIONS)
    refused.answered(QuickResponse(0, error, 0, []))
    assert not refused.is_answered


def test_the_epoch_begins_anew_after_its_last() -> None:
    session = FetchSession()
    session.went_on(5, {})
    session.epoch = 2**31 - 1
    session.went_on(5, {})
    assert (session.id, session.epoch) == (5, 1)


@pytest.mark.parametrize("newest", [4, 6, 7, 10])
def test_older_brokers_are_asked_without_a_session(newest: int) -> None:
    session = FetchSession()
    for _ in range(2):
        request = request_for({("steps", 0): 1, ("steps", 1): 1}, session)
        struct: Any = request.prepare({1: (4, newest)})
        assert newest == struct.API_VERSION
        assert len(struct.topics[0][1]) == 2
        assert newest < 7 or (struct.session_id, struct.session_epoch) == (0, -1)


def test_of_the_answer_only_what_it_tells_of_is_looked_at() -> None:
    session = FetchSession()
    request = request_for({("steps", number): number for number in range(12)}, session)
    request.prepare(VERSIONS)
    request.answered(QuickResponse(0, 0, 9, [("steps", [(3, 0, 5, 5, 0, None, -1, b"x")])]))
    assert request.topics == [("steps", [(3, 3, 0)])]


class Cluster:
    """Two brokers; of each topic the first leads the even partitions."""

    def brokers(self) -> list[Any]:
        return [SimpleNamespace(nodeId=node) for node in (0, 1)]

    def leader_for_partition(self, place: TopicPartition) -> int:
        return int(place.partition % 2)


PLACES = [TopicPartition(topic, number) for topic in ("steps", "sessions") for number in range(4)]


async def asks_of(fetcher: SessionFetcher) -> dict[int, set[str]]:
    """Which topics are asked for, by broker."""
    state = SimpleNamespace(has_valid_position=True, paused=False, position=3)
    assignment = SimpleNamespace(tps=PLACES, state_value=lambda _: state)
    requests, *_ = fetcher._get_actions_per_node(assignment)
    return {node: {place.topic for place in request._wanted} for node, request in requests}


@pytest.fixture
def fetcher() -> SessionFetcher:
    made = SessionFetcher.__new__(SessionFetcher)
    made.__dict__ |= {
        "_client": SimpleNamespace(cluster=Cluster()), "_loop": SimpleNamespace(time=lambda: made.now), "now": 100.0, "_records": {}, "_in_flight": set(),
        "_fetcher_timeout": 1.0, "_fetch_max_wait_ms": 250, "_fetch_min_bytes": 1, "_fetch_max_bytes": 100, "_isolation_level": 0,
        "_max_partition_fetch_bytes": 10, "_sessions": defaultdict(FetchSession), "_seldom_at": {}, "seldom": frozenset(),
    }  # fmt: skip
    return made


async def test_a_topic_that_is_asked_for_seldom_is_asked_for_of_each_broker_in_its_time(fetcher: SessionFetcher) -> None:
    fetcher.seldom = frozenset(("sessions",))
    both, one = {"steps", "sessions"}, {"steps"}
    assert await asks_of(fetcher) == {0: both, 1: both}
    fetcher.now += 0.2
    fetcher._in_flight = {1}
    assert await asks_of(fetcher) == {0: one}
    fetcher.now += 0.06
    assert await asks_of(fetcher) == {0: both}
    fetcher._in_flight = {0}
    assert await asks_of(fetcher) == {1: both}
    fetcher._in_flight = {0, 1}
    assert await asks_of(fetcher) == {}


async def test_a_broker_is_asked_for_nothing_before_what_came_is_read_or_waits_too_long(fetcher: SessionFetcher) -> None:
    unread = SimpleNamespace(calculate_backoff=lambda: fetcher.backoff)
    fetcher._records[PLACES[0]] = unread
    fetcher.backoff = 0.07
    assert await asks_of(fetcher) == {1: {"steps", "sessions"}}
    fetcher.backoff = 0
    requests, *_ = fetcher._get_actions_per_node(
        SimpleNamespace(tps=PLACES, state_value=lambda _: SimpleNamespace(has_valid_position=True, paused=False, position=3))
    )
    assert {place for _, request in requests for place in request._wanted} == set(PLACES) - {PLACES[0]}
