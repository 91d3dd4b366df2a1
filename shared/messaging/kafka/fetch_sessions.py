"""Fetch sessions (KIP-227), which aiokafka does not have: the broker remembers what a consumer reads, so a fetch names only what changed.

A worker reads 48 partitions, of which a fetch finds something new in one. Without a session each fetch names them all, and so does its
answer. A broker that keeps no session for us (it has no slot left, or is older than 2.3) is asked as before.
"""

from collections import defaultdict
from collections.abc import Iterable, Set
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import consumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest

from shared.messaging.kafka.fetching import QuickRequest

SELDOM_S: Final = 0.25
"""As long as a member's empty fetch is held: one after another looks into all topics at least so often."""
_LAST_EPOCH: Final = 2**31 - 1
_NO_LEADER: Final = -1


class FetchSession:
    """What one broker remembers of one consumer: the offset from which it wants each partition."""

    def __init__(self) -> None:
        self.known: dict[TopicPartition, int] = {}
        self.id = self.epoch = 0

    def forget(self) -> None:
        """Name everything with the next fetch, which also ends what the broker may remember."""
        self.epoch = 0
        self.known = {}

    def went_on(self, session: int, known: dict[TopicPartition, int]) -> None:
        """The broker has answered for this session (0: it keeps none), and knows so much by now."""
        if not session:
            self.id = 0
            return self.forget()
        self.id, self.known = session, known
        self.epoch = self.epoch + 1 if self.epoch < _LAST_EPOCH else 1
        return None


class SessionRequest(FetchRequest):  # type: ignore[misc] # aiokafka has no types for it
    """A fetch of these partitions from these offsets, within a session; `limits` are aiokafka's arguments before the topics."""

    def __init__(self, limits: tuple[int, int, int, int], most: int, wanted: dict[TopicPartition, int], session: FetchSession) -> None:
        super().__init__(*limits, [])
        self._most = most
        self._wanted = wanted
        self._session = session
        self.is_answered = False

    def build(self, request_struct_class: type[Any]) -> Any:
        """The request in the broker's version."""
        if request_struct_class is not QuickRequest:
            self._topics = _by_topic((place, (place.partition, at, self._most)) for place, at in self._wanted.items())
            return super().build(request_struct_class)
        session, known = self._session, self._session.known
        changed = _by_topic(
            (place, (place.partition, -1, at, -1, self._most)) for place, at in self._wanted.items() if known.get(place) != at
        )
        dropped = _by_topic((place, place.partition) for place in known.keys() - self._wanted.keys())
        return QuickRequest(
            -1, self._max_wait_ms, self._min_bytes, self._max_bytes, self._isolation_level, session.id, session.epoch, changed, dropped, ""
        )

    def answered(self, response: Any) -> None:
        """What came; of what was asked for, only that is of interest from now on."""
        if response.API_VERSION != QuickRequest.API_VERSION or response.error_code:
            return
        self.is_answered = True
        self._session.went_on(response.session_id, self._wanted)
        self._topics = [(topic, [(one[0], self._wanted[TopicPartition(topic, one[0])], 0) for one in of]) for topic, of in response.topics]


def _by_topic(named: Iterable[tuple[TopicPartition, Any]]) -> list[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for place, one in named:
        found[place.topic].append(one)
    return list(found.items())


class SessionFetcher(Fetcher):  # type: ignore[misc] # as above
    """aiokafka's, with a session for each broker; and it looks through its partitions only when there is a broker to be asked."""

    def __init__(self, client: Any, *given: Any, **named: Any) -> None:
        super().__init__(client, *given, **named)
        self._send = client.send
        client.send = self._sent
        self._sessions: dict[int, FetchSession] = defaultdict(FetchSession)
        self._seldom_at: dict[int, float] = {}
        self.seldom: frozenset[str] = frozenset()

    def _get_actions_per_node(self, assignment: Any) -> Any:
        """See aiokafka's: what to fetch from whom, whom to ask for offsets, how long to wait, whether leaders are to be looked up, and
        what may be resumed meanwhile. A broker is asked for nothing before all that came from it is read, or 0.1 s are over."""
        cluster, pauses = self._client.cluster, dict[int, float]()
        for place, unread in self._records.items():
            if pause := unread.calculate_backoff():
                node = cluster.leader_for_partition(place)
                pauses[node] = max(pauses.get(node, 0.0), pause)
        busy = self._in_flight | pauses.keys()
        wait_s = min(pauses.values(), default=self._fetcher_timeout)
        if {broker.nodeId for broker in cluster.brokers()} <= busy:
            return [], {}, wait_s, False, []
        return self._asks(assignment, busy, wait_s)

    def _asks(self, assignment: Any, busy: Set[int], wait_s: float) -> Any:
        wanted: dict[int, dict[TopicPartition, int]] = defaultdict(dict)
        unplaced, resumed, lost = defaultdict(list), [], False
        now = self._loop.time()
        early = {node: at - now for node, at in self._seldom_at.items() if now < at}
        for place in assignment.tps:
            node, state = self._client.cluster.leader_for_partition(place), assignment.state_value(place)
            if place in self._records or node in busy:
                continue
            if node is None or node == _NO_LEADER:
                lost = True
            elif not state.has_valid_position:
                unplaced[node].append(place)
            elif state.paused:
                resumed.append(state.resume_fut)
            elif node not in early or place.topic not in self.seldom:
                wanted[node][place] = state.position
        if self.seldom:
            self._seldom_at |= dict.fromkeys(wanted.keys() - early.keys(), now + SELDOM_S)
        limits = self._fetch_max_wait_ms, self._fetch_min_bytes, self._fetch_max_bytes, self._isolation_level
        requests = [
            (node, SessionRequest(limits, self._max_partition_fetch_bytes, places, self._sessions[node]))
            for node, places in wanted.items()
            if node not in unplaced
        ]
        return requests, unplaced, min(wait_s, *early.values()) if early else wait_s, lost, resumed

    async def _sent(self, node_id: int, request: Any, **named: Any) -> Any:
        """An answer to a fetch says how its session goes on, before aiokafka looks what in it was asked for."""
        response = await self._send(node_id, request, **named)
        if isinstance(request, SessionRequest):
            request.answered(response)
        return response

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: SessionRequest) -> Any:
        try:
            found = await super()._proc_fetch_request(assignment, node_id, request)
        finally:
            if not request.is_answered:  # whether the broker has heard of it, nobody knows
                self._sessions[node_id].forget()
        if found:  # woken now, its reader has taken it before aiokafka looks what to ask for next, which then needs to look once only
            for waiter in self._fetch_waiters:
                self._notify(waiter)
        return found


def install() -> None:
    """Have aiokafka's consumers fetch so; after `fetching.install`."""
    SessionRequest._CLASSES = FetchRequest._CLASSES
    consumer.Fetcher = SessionFetcher
