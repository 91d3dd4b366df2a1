"""A worker that failed because something was away is replaced; what went wrong for good ends the process."""

import asyncio

import pytest

from services.executor.common.ports import Aside
from services.executor.sessions import staying
from services.executor.sessions.staying import StayingWorker
from shared.messaging.log import LogClosed, LogUnavailable, TopicPartition
from tests.fixtures_patience import PATIENT_S


class ScriptedWorker:
    def __init__(self, joins: bool) -> None:
        self.assigned_once = self.caught_up = False
        self.failure: BaseException | None = None
        self.joins = joins
        self.did: list[str] = []

    async def start(self) -> None:
        self.did.append("start")
        if not self.joins:
            raise LogUnavailable

    async def stop(self) -> None:
        self.did.append("stop")

    def held(self) -> list[TopicPartition]:
        return []

    def mark(self, place: TopicPartition) -> int | None:
        return None

    async def take_over_anew(self, number: int) -> None:
        self.did.append("take over anew")

    def set_aside(self) -> list[Aside]:
        return []


class Crew:
    """Workers to come, and those that came."""

    def __init__(self, *joins: bool) -> None:
        self.coming = [ScriptedWorker(one) for one in joins]
        self.came: list[ScriptedWorker] = []

    def __call__(self) -> ScriptedWorker:
        self.came.append(self.coming.pop(0))
        return self.came[-1]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(staying, name, 0.001)


async def test_a_worker_that_lost_the_log_is_replaced_until_one_can_join() -> None:
    crew = Crew(True, False, True)
    worker = StayingWorker(crew)
    await worker.start()
    running = asyncio.create_task(worker.run())
    crew.came[0].failure = LogUnavailable()
    assert [worker.joined] == [False]
    async with asyncio.timeout(PATIENT_S):
        while not worker.joined:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    assert crew.came[0].did[:2] == ["start", "stop"]
    assert crew.came[1].did == ["start", "stop"]
    assert crew.came[2].did == ["start"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.stop()
    assert crew.came[2].did == ["start", "stop"]


async def test_a_log_that_goes_away_at_the_start_is_waited_for_as_later() -> None:
    crew = Crew(False, False, True)
    worker = StayingWorker(crew)
    await worker.start()
    assert [worker.joined] == [False]
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(PATIENT_S):
        while not worker.joined:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    assert [came.did[0] for came in crew.came] == ["start"] * 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.stop()


@pytest.mark.parametrize("failure", [KeyError("a mistake"), LogClosed()])
async def test_what_waiting_does_not_mend_ends_it(failure: Exception) -> None:
    crew = Crew(True)
    worker = StayingWorker(crew)
    await worker.start()
    crew.came[0].failure = failure
    with pytest.raises(type(failure)):
        await asyncio.wait_for(worker.run(), PATIENT_S)
