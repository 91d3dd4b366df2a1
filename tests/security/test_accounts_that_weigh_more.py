"""Somebody fills a session with tabs that all name one account: one with many attributes must take as many as a name of nobody."""

from collections.abc import Sequence
from typing import Any

from services.executor.common.ports import AskKey
from shared.contracts import asks
from shared.contracts.asks import Ask
from shared.contracts.model import Value
from tests.unit.executor.world import ALICE, LOGIN_STAGES, FakeDirectory, World

TABS = 8
HEAVY = ALICE.model_copy(update={"attributes": {f"key{n}": "v" * 100 for n in range(70)}})


class HeavyAlice(FakeDirectory):
    """Alice has as many attributes as one may have."""

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        if isinstance(ask, asks.FindUser):
            return asks.UserFound(user=HEAVY if ask.value == "alice" else None, identifier=ask.value)
        return await super().answer(ask, key, secret)


async def answers(name: str) -> list[tuple[str, str, bool, str]]:
    """What each of many tabs is answered to a name, and to a wrong password after it."""
    async with World({f"login{n}": LOGIN_STAGES for n in range(TABS)}) as world:
        world.directory = HeavyAlice()
        for worker in world.workers:
            await worker.stop()
        await world.add_worker()
        browser = world.browser()
        seen: list[tuple[str, str, bool, str]] = []
        for n in range(TABS):
            await browser.get(f"login{n}")
            for body in ({"uid_field": name}, {"password": "wrong"}):
                reply = await browser.post(body, f"login{n}")
                seen.append((reply.outcome, reply.reason, reply.session_over, reply.view.component if reply.view else ""))
        return seen


async def test_a_session_takes_as_many_tabs_of_an_account_as_of_a_name_that_nobody_has() -> None:
    known, unknown = await answers("alice"), await answers("nobody")
    assert known == unknown
    assert {reason for _, reason, _, _ in known} == {""}
