"""A tail whose broker was away gets a new consumer, and lets that one hear something before it takes the next."""

from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.messaging.kafka import tail
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.client import Heard, Moment
from shared.messaging.kafka.tail import FRESH_S, SILENCE_S, KafkaTail
from tests.unit.messaging.test_heard import TwoClocks

HELD_S = 1.0
"""A fetch that finds nothing, and a look for what it brought."""


class Consumer:
    """Is asked again and again, and answered only once a fetch of it was held for as long as its broker likes."""

    def __init__(self, clock: TwoClocks, made: list["Consumer"], answers_after_s: float) -> None:
        self._clock, self._answers_after_s = clock, answers_after_s
        self._heard: Heard | None = None
        self.started_s = clock.monotonic_s
        made.append(self)

    def heard_by(self, heard: Heard) -> None:
        self._heard = heard

    async def start(self) -> None:
        """Is reached at once."""

    async def stop(self) -> None:
        """Nothing is open."""

    def assign(self, places: list[TopicPartition]) -> None:
        """It is the tail's."""

    def seek(self, place: TopicPartition, offset: int) -> None:
        """As above."""

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        self._clock.monotonic_s += HELD_S
        if self._heard is not None and self._clock.monotonic_s - self.started_s > self._answers_after_s:
            self._heard.fetch = Moment(self._clock)
        return {}


@pytest.mark.parametrize(("answers_after_s", "consumers"), [(0.5, 1), (HELD_S, 1), (2.5, 1), (1e9, 8)])
async def test_a_new_consumer_is_given_time_to_hear(monkeypatch: pytest.MonkeyPatch, answers_after_s: float, consumers: int) -> None:
    clock, made = TwoClocks(), list[Consumer]()
    monkeypatch.setattr(tail, "new_consumer", lambda _: Consumer(clock, made, answers_after_s))
    monkeypatch.setattr(Heard, "watch", lambda heard, consumer: consumer.heard_by(heard))
    followed = KafkaTail(Brokers("nowhere:9092"), clock, "quiet", {0: 0})
    clock.monotonic_s += 2 * SILENCE_S  # the broker was away for as long
    for _ in range(30):
        await followed._next()
    assert len(made) == consumers
    assert (followed.fetched_age() < FRESH_S) == (consumers == 1)
    await followed.close()
