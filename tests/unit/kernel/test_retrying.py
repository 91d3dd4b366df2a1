"""Trying again: until it works, or until nobody wants it any more."""

import asyncio
from collections.abc import Callable

import pytest

from shared.kernel.errors import SluiceError, Unavailable
from shared.kernel.retrying import again_and_again, insist


class World:
    """Something that fails so often, and the pauses that were made."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.pauses: list[float] = []
        self.heard: list[str] = []

    async def attempt(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)

    async def insisted(self, *, longest_s: float = 0.0, gives_up: Callable[[float], bool] = lambda _: False) -> str:
        return await insist(
            self.attempt, 1.0, longest_s, told=lambda failure: self.heard.append(str(failure)), gives_up=gives_up, sleep=self.sleep
        )


async def test_what_works_at_once_waits_for_nothing() -> None:
    world = World()
    assert await world.insisted() == "done"
    assert (world.pauses, world.heard) == ([], [])


@pytest.mark.parametrize(("longest_s", "pauses"), [(0.0, [1.0] * 4), (5.0, [1.0, 2.0, 4.0, 5.0]), (0.5, [1.0] * 4)])
async def test_the_pauses_double_up_to_the_longest(longest_s: float, pauses: list[float]) -> None:
    world = World(*(Unavailable(str(n)) for n in range(4)))
    assert await world.insisted(longest_s=longest_s) == "done"
    assert (world.pauses, world.heard) == (pauses, ["0", "1", "2", "3"])


async def test_another_failure_is_nothing_to_wait_for() -> None:
    world = World(Unavailable(), SluiceError("no"))
    with pytest.raises(SluiceError, match=r"^no$"):
        await world.insisted()
    assert world.pauses == [1.0]


async def test_who_gives_up_gets_the_last_failure() -> None:
    world = World(*(Unavailable(str(n)) for n in range(9)))
    with pytest.raises(Unavailable, match=r"^2$"):
        await world.insisted(longest_s=9.0, gives_up=lambda pause_s: pause_s > 2)
    assert world.pauses == [1.0, 2.0]


@pytest.mark.parametrize("first", [True, False])
async def test_what_is_done_again_and_again_goes_on_after_a_failure(first: bool) -> None:
    world, heard, done = World(Unavailable("away")), list[str](), asyncio.Event()

    async def once() -> None:
        await world.attempt()
        done.set()

    chore = asyncio.create_task(again_and_again(once, 0.001, lambda away: heard.append(str(away)), first=first))
    async with asyncio.timeout(30):
        await done.wait()
    chore.cancel()
    assert heard == ["away"]


async def test_a_mistake_ends_what_is_done_again_and_again() -> None:
    async def once() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await again_and_again(once, 0.001, lambda _: None)
