"""One question and its answer: what is evaluated, when it ends, and that no policy takes the answer with it."""

import asyncio
from typing import Any

import pytest

from services.policy.application.decide import TOLD, Decide
from services.policy.application.ports import Moment
from shared.contracts.definitions import PolicyBinding
from shared.flows.policy import Decision, PolicyError
from shared.kernel.clock import FixedClock
from shared.messaging.definitions_projection import Definitions
from tests.unit.flows.stories import ALICE
from tests.unit.policy.questions import NOBODY_ASKED, NOW_US, FakeSandbox, publish, question, raising

EXPRESSION: dict[str, Any] = {"expression": "return True"}


def binding(content: str, **changes: Any) -> PolicyBinding:
    return PolicyBinding(pk=changes.pop("pk", "b-1"), order=0, policy=content, policy_name="p", **changes)


class World:
    """A service's inside, with hands on everything that it depends on."""

    def __init__(self, sandbox: FakeSandbox | None = None) -> None:
        self.definitions = Definitions()
        self.sandbox = sandbox or FakeSandbox()
        self.clock = FixedClock(NOW_US)
        self.slept: list[float] = []
        self.decide = Decide(self.definitions, self.sandbox, self.clock, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def verdict(self, *bindings: PolicyBinding, **changes: Any) -> Any:
        return await self.decide(question(*bindings, **changes), NOW_US - 5)


async def test_no_bindings_pass() -> None:
    verdict = await World().verdict()
    assert (verdict.outcome, verdict.results, verdict.messages) == ("pass", (), ())


async def test_the_answer_names_its_question() -> None:
    asked = question()
    verdict = await World().decide(asked, NOW_US)
    assert verdict is not None
    assert (verdict.request, verdict.session, verdict.run, verdict.digest) == (asked.request, asked.session, asked.run, asked.digest)


async def test_expressions_get_the_facts_and_the_moment_of_the_question() -> None:
    world = World()
    content = publish(world.definitions, "expression", EXPRESSION)
    await world.verdict(binding(content, timeout_s=30), deadline_us=NOW_US + 1_500_000)
    assert world.sandbox.asked == [("return True", NOBODY_ASKED, Moment(NOW_US - 5, "request-1/b-1"), 1.5)]


async def test_messages_of_all_bindings_come_in_their_order_passing_or_not() -> None:
    world = World(FakeSandbox(lambda text: Decision("True" in text, (f"said by {text}",))))
    bindings = [
        binding(publish(world.definitions, "expression", {"expression": f"return {value}"}, value), pk=value)
        for value in ("False", "True", "None")
    ]
    verdict = await world.verdict(*bindings)
    assert verdict.outcome == "pass"
    assert verdict.messages == ("said by return False", "said by return True", "said by return None")
    assert [(result.binding, result.outcome) for result in verdict.results] == [("False", "fail"), ("True", "pass"), ("None", "fail")]


@pytest.mark.parametrize("purpose", ["flow", "plan", "reach"])
@pytest.mark.parametrize(("failure_result", "outcome"), [(True, "pass"), (False, "error")])
async def test_an_error_is_told_to_administrators_and_not_to_visitors(purpose: str, failure_result: bool, outcome: str) -> None:
    world = World(FakeSandbox(raising("crash")))
    content = publish(world.definitions, "expression", EXPRESSION)
    verdict = await world.verdict(binding(content, failure_result=failure_result), purpose=purpose)
    assert (verdict.outcome, verdict.messages, verdict.results[0].reason) == (outcome, (), "crash")


async def test_a_mistake_in_a_policy_type_is_an_error_and_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    world = World(FakeSandbox(lambda _: RuntimeError("a bug")))
    verdict = await world.verdict(binding(publish(world.definitions, "expression", EXPRESSION)))
    assert (verdict.outcome, verdict.results[0].reason) == ("error", "exception")
    assert "a bug" in caplog.text


@pytest.mark.parametrize("failure", [PolicyError("exception", "a secret"), PolicyError("timeout"), RuntimeError("a bug")], ids=repr)
async def test_a_policy_that_fails_each_time_is_told_once_a_minute_with_how_often(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(FakeSandbox(lambda _: failure))
    content = publish(world.definitions, "expression", EXPRESSION)
    for _ in range(100):
        assert (await world.verdict(binding(content))).outcome == "error"
    assert len(caplog.records) == 1
    world.clock.advance(59)
    await world.verdict(binding(content), deadline_us=world.clock.now_us() + 1_000_000)
    assert len(caplog.records) == 1
    world.clock.advance(1)
    await world.verdict(binding(content), deadline_us=world.clock.now_us() + 1_000_000)
    assert len(caplog.records) == 2
    assert "(100 times since it was said)" in caplog.messages[1]


async def test_another_policy_or_another_reason_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = iter([PolicyError("exception"), PolicyError("timeout"), PolicyError("exception"), PolicyError("exception")])
    world = World(FakeSandbox(lambda _: next(failures)))
    content = publish(world.definitions, "expression", EXPRESSION)
    for pk in ("b-1", "b-1", "b-2", "b-2"):
        await world.verdict(binding(content, pk=pk))
    assert len(caplog.records) == 3


async def test_so_many_policies_that_fail_fill_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    world = World(FakeSandbox(raising("exception")))
    content = publish(world.definitions, "expression", EXPRESSION)
    for number in range(2 * TOLD):
        await world.verdict(binding(content, pk=f"b-{number}"))
    assert len(world.decide._told) <= TOLD


async def test_a_policy_ends_with_its_deadline() -> None:
    world = World(FakeSandbox(delay_s=60))
    content = publish(world.definitions, "expression", EXPRESSION)
    verdict = await world.verdict(binding(content, timeout_s=0), deadline_us=NOW_US + 20_000)
    assert (verdict.outcome, verdict.results[0].reason) == ("error", "timeout")
    assert world.sandbox.asked[0][3] == pytest.approx(0.02)


async def test_one_slow_policy_does_not_hold_the_others_up() -> None:
    world = World(FakeSandbox(delay_s=60))
    slow = binding(publish(world.definitions, "expression", EXPRESSION), pk="slow")
    verdict = await world.verdict(
        slow,
        PolicyBinding(pk="user", order=1, user=7),
        facts=NOBODY_ASKED.model_copy(update={"pending_user": ALICE}),
        deadline_us=NOW_US + 20_000,
    )
    assert [result.outcome for result in verdict.results] == ["error", "pass"]
    assert verdict.outcome == "pass"


@pytest.mark.parametrize("late_us", [0, 1])
async def test_a_question_past_its_deadline_gets_no_answer(late_us: int) -> None:
    world = World()
    assert await world.verdict(deadline_us=NOW_US - late_us) is None


async def test_a_policy_that_is_not_there_yet_is_waited_for() -> None:
    world = World()
    content = publish(Definitions(), "expression", EXPRESSION)
    asking = asyncio.create_task(world.verdict(binding(content)))
    await asyncio.sleep(0)
    publish(world.definitions, "expression", EXPRESSION)
    assert (await asking).outcome == "pass"


async def test_a_policy_that_never_comes_is_an_error() -> None:
    verdict = await World().verdict(binding("no such hash"), deadline_us=NOW_US + 20_000)
    assert (verdict.outcome, verdict.results[0].reason) in [("error", "unknown_policy"), ("error", "timeout")]


async def test_a_policy_of_an_unknown_type_is_an_error() -> None:
    world = World()
    verdict = await world.verdict(binding(publish(world.definitions, "reputation", {})))
    assert (verdict.outcome, verdict.results[0].reason) == ("error", "unknown_policy")


async def test_an_expression_that_may_not_run_is_refused_again_when_it_is_loaded() -> None:
    world = World()
    verdict = await world.verdict(binding(publish(world.definitions, "expression", {"expression": "import os"})))
    assert (verdict.outcome, verdict.results[0].reason) == ("error", "syntax")
    assert world.sandbox.asked == []


@pytest.mark.parametrize(("low", "high"), [(0, 0), (3, 3), (5, 30)])
async def test_the_dummy_policy_waits_as_long_the_second_time(low: int, high: int) -> None:
    world = World()
    content = publish(world.definitions, "dummy", {"result": True, "wait_min": low, "wait_max": high})
    first = await world.verdict(binding(content), deadline_us=NOW_US + 60_000_000)
    await world.verdict(binding(content), deadline_us=NOW_US + 60_000_000)
    assert (first.outcome, first.messages) == ("pass", ("dummy",))
    assert world.slept[0] == world.slept[1]
    assert low <= world.slept[0] < max(high, low + 1)


async def test_a_dummy_policy_that_cannot_say_how_long_is_an_error() -> None:
    world = World()
    verdict = await world.verdict(binding(publish(world.definitions, "dummy", {"wait_min": 5, "wait_max": 1})))
    assert (verdict.outcome, verdict.results[0].reason) == ("error", "exception")
