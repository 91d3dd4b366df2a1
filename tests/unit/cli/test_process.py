"""A process: signals stop what was started in the reverse order, a failure ends it with a code."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from shared.kernel.errors import SluiceError
from shared.kernel.variables import Misconfigured
from shared.runtime import process


class Part:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, diary: list[str], fails: bool = False) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._diary = diary
        self._fails = fails

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {}

    async def start(self) -> None:
        self._diary.append(f"start {self.name}")
        if self._fails:
            raise SluiceError("it does not start")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self._diary.append(f"stop {self.name}")

    def routes(self) -> tuple[object, ...]:
        return ()

    def readiness(self) -> Mapping[str, bool]:
        return {}

    def notes(self) -> Mapping[str, object]:
        return {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_the_reverse_order(number: signal.Signals) -> None:
    diary: list[str] = []

    async def main() -> None:
        async with AsyncExitStack() as stack:
            parts = [Part("first", diary), Part("second", diary)]
            for part in parts:
                await process.started(stack, part)
            os.kill(os.getpid(), number)
            await process.until_failure(parts)

    assert process.run(main) == 0
    assert diary == ["start first", "start second", "stop second", "stop first"]


def test_a_signal_during_the_start_stops_what_was_started() -> None:
    diary: list[str] = []

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await process.started(stack, Part("first", diary))
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)

    assert process.run(main) == 0
    assert diary == ["start first", "stop first"]


def test_what_does_not_start_is_stopped_too_and_the_process_fails(capsys: pytest.CaptureFixture[str]) -> None:
    diary: list[str] = []

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await process.started(stack, Part("first", diary))
            await process.started(stack, Part("second", diary, fails=True))

    assert process.run(main) == 1
    assert diary == ["start first", "start second", "stop second", "stop first"]
    assert capsys.readouterr().err == "sluice: it does not start [E_SLUICE]\n"


def test_a_service_that_ends_by_itself_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    diary: list[str] = []

    async def main() -> None:
        async with AsyncExitStack() as stack:
            parts = [Part("first", diary), Part("second", diary)]
            for part in parts:
                await process.started(stack, part)
            parts[0].failure = RuntimeError("out of luck")
            await process.until_failure(parts)

    assert process.run(main) == 1
    assert diary[-2:] == ["stop second", "stop first"]
    assert "first ended by itself: RuntimeError" in capsys.readouterr().err


def test_a_server_that_ends_by_itself_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        await process.until_failure([], [asyncio.sleep(0, result=3)])

    assert process.run(main) == 1
    assert "PostgreSQL" in capsys.readouterr().err


def test_wrong_settings_found_late_are_refused_like_those_found_early() -> None:
    async def main() -> None:
        raise Misconfigured("SLUICE_DATABASE: the catalog needs it")

    assert process.run(main) == 2


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    async def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        process.run(main)
