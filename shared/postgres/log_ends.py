"""Remembers how far the log's partitions reached, and has said again what is gone where one ends before that (architecture §4.15).

A broker that was restored from an older copy, or lost power before its disk had what it acknowledged, ends earlier than it did. Who
only reads cannot tell: a reader behind the new end goes on as if nothing had been. So whoever has a database looks at the ends now and
then, and compares them with what it knew, and with what PostgreSQL remembers of before its start.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from shared.contracts.topics import TOPICS
from shared.kernel.retrying import again_and_again
from shared.messaging.log import LogUnavailable, TopicPartition
from shared.messaging.watched import WatchedLog
from shared.postgres.pool import Database

logger = logging.getLogger(__name__)
LOOK_S: Final = 5.0
_KNOWN: Final = "SELECT topic, partition, reached FROM log_ends"
_KEEP: Final = """
INSERT INTO log_ends (topic, partition, reached) SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET reached = excluded.reached"""

Remedy = Callable[[int], Awaitable[object]]
"""Has said again what a partition of the topic has lost; `Unavailable`: not now."""


class LogEnds:
    """Run `run` in a task for as long as the service lives; any number of processes may. `places` are the partitions to look at now,
    `remedies` by topic what to do, for others nothing can be done; `told` is the metric. For `wary` topics it is done
    after each outage: several processes write them, and none knows all."""

    def __init__(
        self, database: Database, log: WatchedLog, places: Callable[[], Collection[TopicPartition]], remedies: Mapping[str, Remedy],
        told: Callable[[str, int], None], look_s: float = LOOK_S, wary: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._wary = frozenset(wary)
        self._database = database
        self._log = log
        self._places = places
        self._remedies = remedies
        self._told = told
        self._look_s = look_s
        self._kept: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Look, again and again; a log or PostgreSQL that is away only delays it."""
        await again_and_again(self.look, self._look_s, lambda away: logger.warning("the log's ends are looked at later: %s", away.code))

    async def look(self) -> None:
        """Once: compare, have said again what is lost, remember. What could not be said again is found lost at the next look too."""
        places, remembered = self._places(), await self._remembered()
        # What is known is looked at before the ends: they only grow, while all is well.
        knowns = {place: max(self._log.known(place), remembered.get(place, 0)) for place in places}
        ends = await self._ends(places)
        for place in ends:
            known, end = self._log.lost.get(place, (knowns[place], ends[place]))
            if end < known:
                await self._lost(place, known, end)
                self._log.lost.pop(place, None)
                self._log.fell(place, ends[place])
            self._log.seen(place, ends[place])
        for place in self._log.doubted & knowns.keys():
            if place.topic in self._wary:
                await self._remedies[place.topic](place.partition)
            self._log.doubted.discard(place)
        await self._keep({place: end for place, end in ends.items() if end != remembered.get(place)})

    async def _ends(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where these end: of all topics, or of those that are there, where one is not (deleted, or not to be seen by us)."""
        try:
            found = dict(await self._log.bounds_of(places))
        except LogUnavailable as away:
            found = {}
            for topic in {place.topic: None for place in places}:
                with suppress(LogUnavailable):
                    found |= await self._log.bounds_of([place for place in places if place.topic == topic])
            if not found:
                raise
            logger.warning("the ends of some topics are looked at later: %s", away)
        return {place: end for place, (_, end) in found.items()}

    async def _lost(self, place: TopicPartition, known: int, end: int) -> None:
        remedy = self._remedies.get(place.topic)
        if remedy:
            await remedy(place.partition)
        logger.error(
            "LOG_DIVERGED: %s %d has lost records: it reached %d and ends at %d; %s", *place, known, end,
            "what it said is said again" if remedy else "who waits asks again" if TOPICS[place.topic].volatile else "nothing brings them back",
            extra={"topic": place.topic, "partition": place.partition, "offset": known},
        )  # fmt: skip
        self._told(*place)

    async def _remembered(self) -> Mapping[TopicPartition, int]:
        if not self._kept:
            self._kept = {TopicPartition(row["topic"], row["partition"]): row["reached"] for row in await self._database.fetch(_KNOWN)}
        return self._kept

    async def _keep(self, ends: Mapping[TopicPartition, int]) -> None:
        """Not of topics that are kept so short that nobody asks for them after a start; the embedded log begins them anew."""
        kept = {place: end for place, end in ends.items() if not TOPICS[place.topic].volatile}
        if kept:
            await self._database.execute(_KEEP, [place.topic for place in kept], [place.partition for place in kept], list(kept.values()))
        self._kept = {**self._kept, **kept}
