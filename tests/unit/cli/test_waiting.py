"""What a process stands on may come later than the process: it is waited for, quietly; a refusal is not."""

import asyncio
import logging

import pytest

from shared.kernel.errors import SluiceError, Unavailable
from shared.runtime import waiting as module
from shared.runtime.waiting import Waiting
from tests.fixtures_patience import PATIENT_S


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.002)


class Part:
    """Something that is away for so many tries, each for the reason that is next."""

    def __init__(self, *reasons: Exception) -> None:
        self._reasons = list(reasons)
        self.tries = 0

    async def reach(self) -> None:
        self.tries += 1
        if self._reasons:
            raise self._reasons.pop(0)


async def test_what_is_there_is_not_waited_for_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    part = Part()
    waiting = Waiting({"kafka": part.reach})
    assert waiting.readiness() == {"kafka": False}
    await waiting.until_there()
    assert waiting.readiness() == {}
    assert (part.tries, caplog.messages) == (1, [])


async def test_a_line_is_said_for_each_change_and_not_for_each_try(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    part = Part(*[Unavailable("nobody listens")] * 5, *[Unavailable("it starts")] * 3)
    await Waiting({"kafka": part.reach}).until_there()
    assert part.tries == 9
    assert caplog.messages == ["waiting for kafka: nobody listens", "waiting for kafka: it starts", "kafka is there"]


async def test_the_reason_that_the_driver_gave_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    away = Unavailable("ConnectionRefusedError")
    away.__cause__ = ConnectionRefusedError(111, "Connection refused")
    await Waiting({"postgres": Part(away).reach}).until_there()
    assert "waiting for postgres: ConnectionRefusedError: [Errno 111] Connection refused" in caplog.messages


async def test_each_part_is_named_until_it_is_there() -> None:
    opened = asyncio.Event()

    async def database() -> None:
        await opened.wait()

    waiting = Waiting({"kafka": Part().reach, "postgres": database})
    task = asyncio.create_task(waiting.until_there())
    async with asyncio.timeout(PATIENT_S):
        while waiting.readiness() != {"postgres": False}:  # noqa: ASYNC110 - the thing that is tested has no event
            await asyncio.sleep(0.001)
    opened.set()
    await task
    assert waiting.readiness() == {}


async def test_who_refuses_us_is_not_waited_for() -> None:
    for_ever = Part(*[Unavailable("away")] * 100_000)
    with pytest.raises(SluiceError, match="SLUICE_DATABASE: no such role"):
        await Waiting({"kafka": for_ever.reach, "postgres": Part(SluiceError("SLUICE_DATABASE: no such role")).reach}).until_there()
    tries = for_ever.tries
    await asyncio.sleep(0.02)
    assert for_ever.tries == tries


async def test_pauses_grow_to_a_bound_and_no_two_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 5.0)
    monkeypatch.setattr("shared.runtime.waiting.asyncio.sleep", sleep)
    await Waiting({"kafka": Part(*[Unavailable("away")] * 30).reach}).until_there()
    assert 0.1 <= pauses[0] <= 0.2
    assert all(2.5 <= pause <= 5.0 for pause in pauses[10:])
    assert len(set(pauses[10:])) > 1


async def test_a_stop_ends_the_waiting_at_once() -> None:
    part = Part(*[Unavailable("away")] * 100_000)
    task = asyncio.create_task(Waiting({"kafka": part.reach}).until_there())
    async with asyncio.timeout(PATIENT_S):
        while part.tries < 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    tries = part.tries
    await asyncio.sleep(0.02)
    assert part.tries == tries
