"""A transition that was not acknowledged in time may come to stand in the log all the same: nobody is told anything of its session before
that is known, and who sent the step is told so, so that they ask for its reply."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.executor.sessions import catching_up, journal
from shared.contracts import topics
from shared.contracts.planner import PlannedStage
from shared.contracts.steps import StepReplied, StepRequested
from shared.messaging.log import LogUnavailable, Message, Record, TopicPartition
from tests.unit.executor.test_one_history import at_the_password, folded
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import LOGIN_STAGES, Browser, World, stage

SESSIONS = TopicPartition(topics.SESSIONS, 3)
AND_THEN_ONE_MORE = (*LOGIN_STAGES[:2], stage("dummy"), LOGIN_STAGES[2])
KNOWS_THE_PASSWORD, SAYS_WHO, MISTYPES = {"password": "secret"}, {"uid_field": "alice"}, {"password": "wrong"}


@pytest.fixture(autouse=True)
def nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "CATCH_UP_S", 0.05)
    monkeypatch.setattr(journal, "READ_BACK_S", 0.05)


class Trouble:
    """A log in which, once it is `on`, the next transition is not acknowledged in time."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.on = False
        self.held: Message | None = None
        self.late: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if self.on and message.topic == topics.SESSIONS:
            self.on, self.held = False, message
            raise LogUnavailable("not acknowledged", self.late)
        offset: int = await self._log.append(message)
        return offset

    async def arrive(self) -> None:
        assert self.held
        self.late.set_result(await self._log.append(self.held))

    def never_arrives(self) -> None:
        self.late.cancel()


async def troubled(world: World) -> Trouble:
    logs: list[Trouble] = []

    def wrap(log: Any) -> Trouble:
        logs.append(Trouble(log))
        return logs[0]

    await world.add_worker(wrap)
    return logs[0]


async def asks_for(browser: Browser, step: StepRequested) -> StepReplied:
    """What a browser is told that asks what came of this step."""
    asked = browser.compose("state", "login", None, awaited=step.command)
    reply = await browser.world.ask(asked)
    browser.take(asked, reply)
    return reply


CASES = [
    pytest.param(LOGIN_STAGES, [SAYS_WHO], KNOWS_THE_PASSWORD, id="a log-in"),
    pytest.param(AND_THEN_ONE_MORE, [SAYS_WHO], KNOWS_THE_PASSWORD, id="a password before another stage"),
    pytest.param(LOGIN_STAGES, [SAYS_WHO], MISTYPES, id="a wrong password"),
    pytest.param(LOGIN_STAGES, [], SAYS_WHO, id="the first answer"),
    pytest.param(AND_THEN_ONE_MORE, [SAYS_WHO, KNOWS_THE_PASSWORD], {}, id="the last answer"),
]


@pytest.mark.parametrize(("stages", "before", "body"), CASES)
async def test_what_came_late_is_what_its_sender_is_told(stages: Sequence[PlannedStage], before: Sequence[Any], body: Any) -> None:
    async with World({"login": stages}, workers=0) as world:
        log = await troubled(world)
        browser = world.browser()
        await browser.get()
        for earlier in before:
            await browser.post(earlier)
        log.on = True
        sent = browser.compose("answer", "login", body)
        reply = await world.ask(sent)
        assert (reply.outcome, reply.unsettled) == ("unavailable", True)
        browser.session, browser.made_us = sent.session, sent.made_us  # the cookie of "still working"
        meanwhile = await asks_for(browser, sent)
        assert (meanwhile.outcome, meanwhile.unsettled) == ("unavailable", False), "nobody knows yet, and nothing of this one counts"
        await log.arrive()
        await folded(world, sent.session, len(before) + 1)
        told = await asks_for(browser, sent)
        assert told.outcome == "accepted" and told.version == len(before) + 1
        assert bool(told.login) == (told.view is not None and told.view.kind == "redirect")
        assert len(await world.history(sent.session)) == len(before) + 1


async def test_another_answer_waits_for_what_became_of_the_one_before() -> None:
    async with World(workers=0) as world:
        log = await troubled(world)
        browser = await at_the_password(world)
        log.on = True
        assert (await world.ask(browser.compose("answer", "login", KNOWS_THE_PASSWORD))).unsettled
        asked = len(world.directory.asked)
        again = browser.compose("answer", "login", KNOWS_THE_PASSWORD)
        assert (await world.ask(again)).outcome == "unavailable"
        assert len(world.directory.asked) == asked, "nothing is decided on a state that may be an older one"
        await log.arrive()
        await folded(world, browser.session, 2)
        assert (await world.ask(again)).login


async def test_what_never_arrives_is_asked_again() -> None:
    async with World(workers=0) as world:
        log = await troubled(world)
        browser = await at_the_password(world)
        log.on = True
        sent = browser.compose("answer", "login", KNOWS_THE_PASSWORD)
        assert (await world.ask(sent)).unsettled
        log.never_arrives()
        told = await asks_for(browser, sent)
        assert told.outcome == "current" and told.view and told.view.component == "ak-stage-password"
        assert (await browser.post(KNOWS_THE_PASSWORD)).login


async def test_what_is_acknowledged_and_read_back_late_is_what_its_sender_is_told() -> None:
    async with World(workers=0) as world:
        await troubled(world)
        browser = await at_the_password(world)
        reading = world.workers[0].partitions.owners[3].journal
        read, kept = reading.read, list[Record]()
        reading.read = kept.append  # type: ignore[method-assign,assignment]
        _, end = await world.log.bounds(SESSIONS)
        async for batch in world.log.read(SESSIONS, 0, end):
            for one in batch:  # said again: what follows is not the very next record
                await world.log.append(Message(one.topic, one.partition, one.key, one.value, one.headers))
        sent = browser.compose("answer", "login", KNOWS_THE_PASSWORD)
        assert (await world.ask(sent)).unsettled
        assert (await asks_for(browser, sent)).outcome == "unavailable"
        await until(lambda: len(kept) == end + 1)
        for one in kept:
            read(one)
        reading.read = read  # type: ignore[method-assign]
        told = await asks_for(browser, sent)
        assert told.outcome == "accepted" and told.login


async def test_who_awaits_what_was_a_repeat_has_the_reply_to_the_first() -> None:
    """A double click of which neither is answered in time: the browser keeps the command of one of them, no matter which."""
    async with World() as world:
        browser = await at_the_password(world)
        first, *others = [browser.compose("answer", "login", KNOWS_THE_PASSWORD) for _ in range(3)]
        for one in (first, *others):
            await world.ask(one)
        for one in (*others, first):
            told = await world.ask(browser.compose("state", "login", None, awaited=one.command))
            assert told.outcome == "accepted" and told.login
        again = browser.compose("answer", "login", KNOWS_THE_PASSWORD, command=others[0].command)
        assert (await world.ask(again)).login
        assert len(world.directory.performed) == 1
        assert not (await world.ask(browser.compose("state", "login", None, awaited="nobody's"))).login
