"""How old what waits is, and the newest epoch key, by what they are of."""

import asyncio
import io

from shared.telemetry.ages import watch_ages
from shared.telemetry.metrics import metrics
from shared.telemetry.setup import setup
from tests.fixtures_patience import PATIENT_S
from tests.unit.telemetry.test_setup import scraped, settings


async def test_ages_are_reported_again_and_again() -> None:
    telemetry = setup("executor", settings(), stream=io.StringIO())
    await telemetry.start()
    assert telemetry.endpoint is not None
    reports = iter(range(1_000_000))

    def report() -> None:
        metrics().outbox_age("executor", float(next(reports)))
        metrics().epoch_key_age("edge", 7.0)
        metrics().epoch_key_age("worker", 8.0)

    watch = asyncio.create_task(watch_ages(report, 0.001))
    async with asyncio.timeout(PATIENT_S):
        while next(reports) < 5:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.005)
    text = await scraped(telemetry.endpoint.port)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await telemetry.stop()
    (age,) = (line for line in text.splitlines() if line.startswith("sluice_outbox_age_seconds{"))
    assert 'sluice_schema="executor"' in age
    assert float(age.rpartition(" ")[2]) > 1
    keys = sorted(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("sluice_epoch_key_age_seconds{"))
    assert keys == ["7.0", "8.0"]
