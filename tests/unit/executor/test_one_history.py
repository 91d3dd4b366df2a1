"""A decision counts only on the state that it was made on, and what follows an accepted transition is done before anything else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.contracts import topics
from shared.contracts.model import Value
from shared.contracts.sessions import Evidence, SessionAdvanced, StageChallenged, StagePassed
from shared.flows.asks import Ask, VerifyPassword
from tests.unit.executor.world import LOGIN_STAGES, Browser, FakeDirectory, World, stage


class Interrupted(FakeDirectory):
    """Something happens while the first password is being checked."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def answer(self, ask: Ask[Any], key: Any, secret: str | None) -> Value:
        if isinstance(ask, VerifyPassword) and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await super().answer(ask, key, secret)


async def folded(world: World, session: str, version: int) -> None:
    async with asyncio.timeout(5):
        while not any(o.states.get(session).version >= version for w in world.workers for o in w._owners.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def at_the_password(world: World) -> Browser:
    browser = world.browser()
    await browser.get()
    await browser.post({"uid_field": "alice"})
    return browser


async def test_a_decision_on_an_older_state_passes_no_stage_twice():
    flows = {"login": (*LOGIN_STAGES[:2], stage("dummy"), LOGIN_STAGES[2])}
    world = World(flows)
    world.directory = directory = Interrupted()
    async with world:
        browser = await at_the_password(world)
        shown, session = browser.shown["login"], browser.session

        async def another_passes_the_password() -> None:
            evidence = Evidence(
                session=session, run=shown.run, binding="b-password", version=3, subject="uid-alice", method="password", at_us=1
            )
            view = (await world.history(session))[-1].body.events[-1].view
            passed = SessionAdvanced(
                session=session, command="late", kind="answer", at_us=world.clock.now_us(),
                events=(
                    StagePassed(run=shown.run, binding="b-password", evidence=evidence),
                    StageChallenged(run=shown.run, binding="b-dummy", view=view.model_copy(update={"component": "ak-stage-dummy"})),
                ),
            )  # fmt: skip
            await world.write(topics.SESSIONS, passed, session, "late", subject_version=3, parent=shown.transition)
            await folded(world, session, 3)

        directory.meanwhile = another_passes_the_password
        reply = await browser.post({"password": "secret"})
        assert reply.view and reply.view.component == "ak-stage-dummy"
        state = world.workers[0]._owners[3].states.get(session)
        assert state.version == 3 and [s.binding for s in state.runs[-1].stages] == ["b-dummy", "b-user_login"]
