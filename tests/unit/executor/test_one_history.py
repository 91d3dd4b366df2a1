"""A decision counts only on the state that it was made on, and what follows an accepted transition is done before anything else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shared.contracts import topics
from shared.contracts.asks import Ask, VerifyPassword
from shared.contracts.evidence import Evidence
from shared.contracts.model import Value
from shared.contracts.sessions import SessionAdvanced, StageChallenged, StagePassed
from shared.messaging.log import LogUnavailable, Message
from tests.fixtures_patience import PATIENT_S
from tests.unit.executor.world import LOGIN_STAGES, Browser, FakeDirectory, World, stage


class Interrupted(FakeDirectory):
    """Something happens while the first password is being checked."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def answer(self, ask: Ask[Any], key: Any, secret: str | None, devices: Sequence[str] = ()) -> Value:
        if isinstance(ask, VerifyPassword) and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await super().answer(ask, key, secret)


async def folded(world: World, session: str, version: int) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not any(o.states.get(session).version >= version for w in world.workers for o in w.partitions.owners.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def at_the_password(world: World) -> Browser:
    browser = world.browser()
    await browser.get()
    await browser.post({"uid_field": "alice"})
    return browser


async def test_a_decision_on_an_older_state_passes_no_stage_twice() -> None:
    flows = {"login": (*LOGIN_STAGES[:2], stage("dummy"), LOGIN_STAGES[2])}
    world = World(flows)
    world.directory = directory = Interrupted()
    async with world:
        browser = await at_the_password(world)
        shown, session = browser.shown["login"], browser.session

        async def another_passes_the_password() -> None:
            evidence = Evidence(
                session=session, run=shown.run, binding="b-password", version=2, subject="uid-alice", method="password", at_us=1
            )
            view = (await world.history(session))[-1].body.events[-1].view
            passed = SessionAdvanced(
                session=session, command="late", kind="answer", at_us=world.clock.now_us(),
                events=(
                    StagePassed(run=shown.run, binding="b-password", evidence=evidence),
                    StageChallenged(run=shown.run, binding="b-dummy", view=view.model_copy(update={"component": "ak-stage-dummy"})),
                ),
            )  # fmt: skip
            await world.write(topics.SESSIONS, passed, session, "late", subject_version=2, parent=shown.transition)
            await folded(world, session, 2)

        directory.meanwhile = another_passes_the_password
        reply = await browser.post({"password": "secret"})
        assert reply.view and reply.view.component == "ak-stage-dummy"
        state = world.workers[0].partitions.owners[3].states.get(session)
        assert state.version == 2 and [s.binding for s in state.runs[-1].stages] == ["b-dummy", "b-user_login"]


class LateLog:
    """A log whose first login transition meets trouble: `trouble` is awaited with the log and the message."""

    def __init__(self, log: Any, trouble: Callable[[Any, Message], Awaitable[None]]) -> None:
        self._log = log
        self._trouble: Callable[[Any, Message], Awaitable[None]] | None = trouble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if self._trouble and message.topic == topics.SESSIONS and b"directory.login.start" in (message.value or b""):
            trouble, self._trouble = self._trouble, None
            await trouble(self._log, message)
        offset: int = await self._log.append(message)
        return offset


async def test_a_transition_that_was_read_back_before_its_acknowledgement_got_lost_has_its_orders_done() -> None:
    async with World(workers=0) as world:

        async def arrives_unacknowledged(log: Any, message: Message) -> None:
            await log.append(message)
            await folded(world, (message.key or b"").decode(), 2)
            raise LogUnavailable("lost")

        await world.add_worker(lambda log: LateLog(log, arrives_unacknowledged))
        browser = await at_the_password(world)
        reply = await browser.post({"password": "secret"})
        assert reply.login and len(world.directory.performed) == 1


async def test_a_command_that_is_asked_again_waits_for_the_orders_of_its_late_transition() -> None:
    world = World(workers=0)
    world.directory = directory = Interrupted(refuse="user_disabled")
    async with world:
        late: list[Message] = []

        async def does_not_arrive(log: Any, message: Message) -> None:
            late.append(message)
            raise LogUnavailable("lost")

        await world.add_worker(lambda log: LateLog(log, does_not_arrive))
        browser = await at_the_password(world)
        step = browser.compose("answer", "login", {"password": "secret"})
        assert (await world.ask(step)).outcome == "unavailable"

        async def arrives() -> None:
            await world.log.append(late[0])
            await folded(world, browser.session, 2)

        directory.meanwhile = arrives
        again = await world.ask(step)
        assert again.login is None and again.session_over and again.view and again.view.kind == "denied"
