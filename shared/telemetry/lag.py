"""How far a group member is behind: measured now and then, from the log's ends, for the metric of consumer lag."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from shared.kernel.errors import Unavailable
from shared.messaging.log import ReadableLog, TopicPartition
from shared.telemetry.metrics import metrics

INTERVAL_S: Final = 15.0

_log = logging.getLogger(__name__)


async def watch_lag(
    log: ReadableLog,
    group: str,
    places: Callable[[], Iterable[TopicPartition]],
    mark: Callable[[TopicPartition], int | None],
    interval_s: float = INTERVAL_S,
) -> None:
    """Report the lag of the places that are held, for ever; run it as a task and cancel it.

    `mark` is up to where a place is done (`LowWater.mark`). A place of which nothing came since it was assigned is left
    out: either nothing is there to come, or the lag shows as queue wait once it does.
    """
    while True:
        try:
            await _measure(log, group, {place: done for place in tuple(places()) if (done := mark(place)) is not None})
        except Unavailable as error:
            _log.warning("lag of %s is unknown: %s", group, error)
        await asyncio.sleep(interval_s)


async def _measure(log: ReadableLog, group: str, done: Mapping[TopicPartition, int]) -> None:
    for place, (_, end) in (await log.bounds_of(done.keys())).items():
        metrics().lag(group, place.topic, place.partition, max(0, end - done[place]))
