"""What is known of users is not older than what was last heard of them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.executor.edge.user_facts import UserFactsCache
from shared.contracts.people import UserFacts
from shared.contracts.topics import DIRECTORY_EVENTS, TOPICS
from shared.kernel.clock import FixedClock
from shared.messaging import listening
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message
from tests.fixtures_patience import PATIENT_S

OLD, NEW = (
    UserFacts(pk=7, uuid="", uid="u", username=name, name="", email="", is_active=True, is_superuser=False) for name in ("old", "new")
)


class Directory:
    """Looks up when it is let."""

    def __init__(self) -> None:
        self.facts_now, self.asked, self.may = OLD, asyncio.Event(), asyncio.Event()
        self.times = 0

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        return True

    async def facts(self, user: int) -> UserFacts | None:
        found = self.facts_now
        self.times += 1
        self.asked.set()
        await self.may.wait()
        return found


async def broken_off(log: EmbeddedLog, cache: UserFactsCache) -> None:
    tail = cache._following._tail
    assert tail is not None
    await tail.close()
    async with asyncio.timeout(PATIENT_S):
        while cache._following._tail in (None, tail):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


async def unreadable(log: EmbeddedLog, cache: UserFactsCache) -> None:
    before = cache._changes
    await log.append(Message(DIRECTORY_EVENTS, 0, b"7", b"\xc1"))
    async with asyncio.timeout(PATIENT_S):
        while cache._changes == before:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("happens", [broken_off, unreadable])
async def test_what_was_looked_up_before_something_was_missed_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, happens: Callable[[EmbeddedLog, UserFactsCache], Awaitable[None]]
) -> None:
    monkeypatch.setattr(listening, "RETRY_S", 0.01)
    monkeypatch.setattr("services.executor.edge.user_facts.prove", lambda _: None)
    log, directory = await EmbeddedLog.open(TOPICS), Directory()
    cache = UserFactsCache(log, directory, FixedClock(), 10)
    await cache.start()
    asking = asyncio.create_task(cache.of(7))
    await directory.asked.wait()
    await happens(log, cache)
    directory.facts_now = NEW
    directory.may.set()
    assert await asking == OLD, "it was asked before"
    assert [await cache.of(7), await cache.of(7)] == [NEW, NEW]
    assert directory.times == 2
    await cache.stop()
    await log.close()
