"""What a visitor sends or repeats stays within its bounds: whose cookie, how long, how many, how much."""

import asyncio
from typing import Any

import pytest

from services.executor.sessions import owner
from services.executor.sessions.session import MAX_BYTES, obligation, obliged
from shared.contracts import topics
from shared.contracts.definitions import StageBody
from shared.messaging.log import Message, Refused
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import LOGIN_STAGES, World, stage


async def test_the_command_of_an_earlier_login_gets_no_cookie_of_a_later_one() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        first = browser.compose("answer", "login", {"password": "secret"})
        reply = await world.ask(first)
        browser.take(first, reply)
        assert reply.login
        await log_in(browser)
        again = await world.ask(first)
        assert (again.outcome, again.view, again.login) == ("superseded", None, None)


async def test_a_command_from_before_a_log_in_shows_its_sender_nothing_of_after_it() -> None:
    flows = {"f": (*LOGIN_STAGES, stage("dummy"))}
    async with World(flows) as world:
        planted = world.browser()
        await planted.get("f")
        step = planted.compose("answer", "f", {"uid_field": "alice"})
        planted.take(step, await world.ask(step))
        visitor = planted.twin()
        begun = visitor.compose("answer", "f", {"password": "nope"})
        visitor.take(begun, await world.ask(begun))
        assert (await visitor.post({"password": "secret"}, "f")).login
        for one in (step, begun):
            again = await world.ask(one)
            assert (again.outcome, again.view, again.run, again.rotation) == ("superseded", None, None, 0)
        # Who has the cookie of now may have sent it twice.
        assert (await world.ask(begun.model_copy(update={"rotation": 1}))).outcome == "accepted"


async def test_a_long_name_leaves_a_session_that_can_be_read_again() -> None:
    flows = {"f": (stage("identification", {"user_fields": ("username",)}), stage("dummy", guarded=True))}
    async with World(flows) as world:
        browser = world.browser()
        await browser.get("f")
        assert (await browser.post({"uid_field": "x" * 512}, "f")).advanced
        await world.workers.pop().stop()
        await world.add_worker()
        reply = await browser.get("f")
        assert reply.view and reply.view.component == "ak-stage-dummy"


@pytest.mark.parametrize("subject", ["uid-alice", "a:b", "x" * 512])
def test_an_obligation_is_found_by_its_subject_and_by_no_other(subject: str) -> None:
    known = (obligation("b1", subject), obligation("b2", f"z:{subject}"), obligation("b3", "other"))
    assert obliged(known, subject) == ("b1",)


async def test_a_session_that_grows_too_large_takes_no_further_step_and_stays_as_it_was() -> None:
    large = stage("dummy").model_copy(
        update={"references": {"r": StageBody(pk="r", name="r", type="dummy", config={"text": "x" * MAX_BYTES})}}
    )
    async with World({"small": (stage("dummy"),), "large": (stage("dummy"), large)}) as world:
        browser = world.browser()
        await browser.get("large")
        await browser.get("small")
        refused = await world.ask(browser.compose("answer", "large", {}))
        assert (refused.outcome, refused.reason, refused.session_over) == ("refused", "session_full", True)
        assert (await browser.post({}, "small")).advanced


async def test_a_step_too_many_is_told_to_come_back_and_is_taken_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "IN_HAND", 2)
    async with World() as world:
        go_on, plan, asked = asyncio.Event(), world.planner.plan, []

        async def slow(question: Any) -> Any:
            asked.append(question)
            await go_on.wait()
            return await plan(question)

        monkeypatch.setattr(world.planner, "plan", slow)
        browsers = [world.browser() for _ in range(3)]
        steps = [browser.compose("start", "login", None) for browser in browsers]
        held = [asyncio.create_task(world.ask(step)) for step in steps[:2]]
        await until(lambda: len(asked) == 2)
        refused = await world.ask(steps[2])
        assert (refused.outcome, refused.reason, refused.retry_after_s) == ("busy", "worker_full", 1)
        go_on.set()
        assert [reply.outcome for reply in await asyncio.gather(*held)] == ["offered", "offered"]
        assert (await world.ask(steps[2])).outcome == "offered"


async def test_one_visitor_cannot_fill_the_places_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "IN_HAND_OF_SESSION", 2)
    async with World() as world:
        browser, other = world.browser(), world.browser()
        await browser.get()
        go_on, answer, asked = asyncio.Event(), world.directory.answer, []

        async def slow(*given: Any) -> Any:
            asked.append(given)
            await go_on.wait()
            return await answer(*given)

        monkeypatch.setattr(world.directory, "answer", slow)
        steps = [browser.compose("answer", "login", {"uid_field": "alice", "n": n}) for n in range(4)]
        held = [asyncio.create_task(world.ask(steps[0]))]
        await until(lambda: bool(asked))
        held += [asyncio.create_task(world.ask(step)) for step in steps[1:3]]
        await asyncio.sleep(0)  # written in this order
        refused = await world.ask(steps[3], timeout=10)
        assert (refused.outcome, refused.reason) == ("busy", "worker_full")
        assert (await other.get()).outcome == "offered"
        go_on.set()
        assert [reply.outcome for reply in await asyncio.gather(*held)] == ["accepted", "current", "current"]


class StatesRefused:
    """A log that takes no state, and never will."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        if message.topic == topics.STATE:
            raise Refused("too large")
        offset: int = await self._log.append(message)
        return offset


async def test_a_state_that_the_log_never_takes_ends_the_worker() -> None:
    async with World(workers=0) as world:
        worker = await world.add_worker(StatesRefused)
        await world.browser().post({"uid_field": "alice"})
        await until(lambda: worker.failure is not None)
        assert isinstance(worker.failure, Refused)
