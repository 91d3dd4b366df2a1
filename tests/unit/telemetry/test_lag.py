"""Consumer lag is what lies between the end of a partition and what is done of it."""

import asyncio
import io

from shared.contracts.topics import STEPS, TOPICS
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from shared.telemetry.lag import watch_lag
from shared.telemetry.metrics import metrics
from shared.telemetry.setup import setup
from tests.fixtures_patience import PATIENT_S
from tests.unit.telemetry.test_setup import scraped, settings

HELD = (TopicPartition(STEPS, 1), TopicPartition(STEPS, 2))


async def test_the_lag_of_what_is_held_is_reported_while_it_is_held() -> None:
    telemetry = setup("executor", settings(), stream=io.StringIO())
    await telemetry.start()
    assert telemetry.endpoint is not None
    log = await EmbeddedLog.open(TOPICS)
    for _ in range(5):
        await log.append(Message(STEPS, 1, b"k", b"v"))
    watch = asyncio.create_task(watch_lag(log, "executor", lambda: HELD, {HELD[0]: 2}.get, 0.001))
    async with asyncio.timeout(PATIENT_S):
        while "sluice_consumer_lag{" not in (text := await scraped(telemetry.endpoint.port)):  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.005)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    metrics().forget_lag("executor", {1, 2})
    after = await scraped(telemetry.endpoint.port)
    await log.close()
    await telemetry.stop()
    (line,) = (line for line in text.splitlines() if line.startswith("sluice_consumer_lag{"))
    assert 'messaging_consumer_group_name="executor"' in line
    assert 'messaging_destination_partition_id="1"' in line
    assert line.endswith(" 3.0")
    assert "sluice_consumer_lag{" not in after


async def test_a_log_that_is_away_does_not_end_the_watch() -> None:
    asked: list[TopicPartition] = []

    class Away(EmbeddedLog):
        async def bounds(self, place: TopicPartition) -> tuple[int, int]:
            asked.append(place)
            raise LogUnavailable("away")

    log = await Away.open(TOPICS)
    watch = asyncio.create_task(watch_lag(log, "executor", lambda: HELD, lambda _: 0, 0.001))
    async with asyncio.timeout(PATIENT_S):
        while len(asked) < 3:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.005)
    assert not watch.done()
    watch.cancel()
    await log.close()
