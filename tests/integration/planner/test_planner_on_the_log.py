"""The planner as the other services meet it: over the log."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.contracts.codec import encode
from shared.contracts.model import Contract
from shared.contracts.planner import FlowLocated, PlanMade, PlanRefused, PlanRequested
from shared.contracts.policy import VerdictReached
from shared.contracts.topics import PLAN_REQUESTS, POLICY_REQUESTS
from shared.kernel.ids import new_session_id
from shared.messaging.log import Message, TopicPartition
from shared.telemetry import propagation
from shared.telemetry.tracing import Tracing
from tests.integration.planner.support import CLOCK, Answerer, running
from tests.unit.planner.support import SESSION, ScriptedPolicy, bound, flow, location, plan_request, stage, visitor

A, B = stage("a"), stage("b")
ASKING = flow("asking", bound("b1", A, 1, "p", evaluate_on_plan=True), bound("b2", B, 2), policies=("q",))
PLAIN = flow("plain", bound("b1", A))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request(slug: str, name: str = "r1", session: str = SESSION, seconds: float = 60, **more: Any) -> PlanRequested:
    asked = plan_request(slug, **more)
    return asked.model_copy(update={"request": name, "session": session, "deadline_us": CLOCK.now_us() + round(seconds * 1e6)})


def is_plan(body: Contract) -> list[str]:
    assert isinstance(body, PlanMade), body
    return [one.stage for one in body.plan.stages]


async def test_a_plan_that_needs_no_policy_is_made_without_a_hop() -> None:
    async with running(A, B, PLAIN) as bench:
        await bench.ask(request("plain"))
        (answer,) = await bench.answers()
        assert is_plan(answer.body) == ["a"]
        assert await bench.everything(POLICY_REQUESTS, 3) == []
        assert (answer.envelope.source, answer.envelope.subject) == ("planner", SESSION)
        assert (answer.envelope.causation, answer.envelope.correlation) == ("e-r1", "conversation")


async def test_policy_is_asked_in_the_sessions_partition_and_its_verdicts_shape_the_plan() -> None:
    async with running(A, B, ASKING) as bench:
        policy = Answerer(bench.log, ScriptedPolicy({"p": "fail"}))
        membership = await policy.join()
        await bench.ask(request("asking"))
        (answer,) = await bench.answers()
        assert is_plan(answer.body) == ["b"]
        assert isinstance(answer.body, PlanMade)
        assert [one.outcome for one in answer.body.verdicts] == ["pass", "fail"]
        assert len(await bench.everything(POLICY_REQUESTS, 3)) == 2
        assert {one.envelope.causation for one in policy.seen} == {"e-r1"}
        assert {one.envelope.correlation for one in policy.seen} == {"conversation"}
        await membership.leave()


async def test_only_the_verdict_of_this_question_counts_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    def meddled(verdict: VerdictReached) -> tuple[VerdictReached, ...]:
        allowed = verdict.model_copy(update={"outcome": "pass"})
        return (
            allowed.model_copy(update={"digest": "0" * 64}),
            allowed.model_copy(update={"request": "another"}),
            verdict,
            allowed,
        )

    async with running(A, B, ASKING) as bench:
        membership = await Answerer(bench.log, ScriptedPolicy({"q": "fail"}), meddled).join()
        await bench.ask(request("asking"))
        (answer,) = await bench.answers()
        assert isinstance(answer.body, PlanRefused)
        assert answer.body.reason == "not_applicable"
        await membership.leave()
    assert [record.name for record in caplog.records if record.name.startswith("security.")] == ["security.foreign_verdict"]


async def test_many_requests_are_answered_while_one_waits_for_policy() -> None:
    async with running(A, B, PLAIN, ASKING) as bench:
        await bench.ask(request("asking", "slow"))
        for n in range(5):
            await bench.ask(request("plain", f"r{n}"))
        answers = await bench.answers(5)
        assert all(isinstance(one.body, PlanMade) and one.body.request != "slow" for one in answers[:5])


async def test_a_policy_service_that_is_away_costs_at_most_the_time_out() -> None:
    async with running(A, B, ASKING) as bench:
        await bench.ask(request("asking", seconds=0.2))
        (answer,) = await bench.answers()
        assert isinstance(answer.body, PlanRefused)
        assert answer.body.reason == "error"


async def test_flows_are_located() -> None:
    async with running(A, B, PLAIN, ASKING) as bench:
        asked = location(visitor(), 2**60, "authentication")
        membership = await Answerer(bench.log, ScriptedPolicy({"q": "fail"})).join()
        await bench.ask(asked)
        (answer,) = await bench.answers()
        assert isinstance(answer.body, FlowLocated)
        assert (answer.body.slug, answer.body.digest) == ("plain", asked.digest)
        await membership.leave()


async def test_definitions_that_come_later_are_used_by_the_next_plan() -> None:
    async with running(A, B) as bench:
        await bench.ask(request("plain"))
        (answer,) = await bench.answers()
        assert isinstance(answer.body, PlanRefused)
        assert answer.body.reason == "unknown_flow"
        await bench.publish(PLAIN)
        for n in range(2, 200):
            await bench.ask(request("plain", f"r{n}"))
            last = (await bench.answers(n))[-1]
            if isinstance(last.body, PlanMade):
                return
        raise AssertionError("the new flow never came")


async def test_the_same_request_again_gets_the_same_answer_under_the_same_id() -> None:
    async with running(A, B, ASKING) as bench:
        policy = Answerer(bench.log, ScriptedPolicy())
        membership = await policy.join()
        asked = request("asking")
        await bench.ask(asked)
        (first,) = await bench.answers()
        await bench.ask(asked)
        _, second = await bench.answers(2)
        assert second.envelope.id == first.envelope.id
        assert second.body == first.body
        assert len({one.envelope.id for one in policy.seen}) == 2
        assert len(policy.seen) == 4
        await membership.leave()


async def test_what_cannot_be_read_is_dead_lettered_and_the_next_request_answered() -> None:
    async with running(A, PLAIN) as bench:
        await bench.log.append(Message(PLAN_REQUESTS, 3, b"k", b"\xc1"))
        await bench.ask(request("plain", "elsewhere"), partition=4)
        await bench.ask(request("plain", "no session", session="alice"), partition=3)
        await bench.ask(request("plain"))
        (answer,) = await bench.answers()
        assert is_plan(answer.body) == ["a"]
        refused = await bench.refused(3)
        assert sorted((one.partition, one.reason) for one in refused) == [(3, "E_EVT_HEADER"), (3, "E_EVT_KEY"), (4, "E_EVT_KEY")]
        assert all(one.service == "planner" and one.topic == PLAN_REQUESTS for one in refused)


async def test_a_question_that_is_not_what_its_digest_says_is_dead_lettered() -> None:
    async with running(A, PLAIN) as bench:
        await bench.ask(request("plain", "forged").model_copy(update={"obligations": ("b1",)}))
        (refused,) = await bench.refused()
        assert refused.reason == "E_EVT_FIELD"


async def test_a_message_of_another_kind_is_dead_lettered_by_its_type() -> None:
    async with running(A, PLAIN) as bench:
        answer = FlowLocated(request="r", session=SESSION, digest="", slug=None)
        await bench.ask(request("plain"))
        (good,) = await bench.answers()
        headers, value = encode(replace(good.envelope, type=FlowLocated.wire_type), answer)
        await bench.log.append(Message(PLAN_REQUESTS, 3, SESSION.encode(), value, headers))
        (refused,) = await bench.refused()
        assert refused.reason == "E_EVT_UNKNOWN"


async def test_a_request_past_its_deadline_is_dropped() -> None:
    async with running(A, PLAIN) as bench:
        await bench.ask(request("plain", "late", seconds=-1))
        await bench.ask(request("plain", "timely"))
        (answer,) = await bench.answers()
        assert isinstance(answer.body, PlanMade)
        assert answer.body.request == "timely"


async def test_a_plan_that_is_too_large_for_its_topic_is_refused() -> None:
    text = "x" * 100_000
    huge = [stage(f"h{n}", "dummy", note=text) for n in range(3)]
    body = flow("huge", *(bound(f"b{n}", one, n) for n, one in enumerate(huge)))
    async with running(*huge, body) as bench:
        await bench.ask(request("huge"))
        (answer,) = await bench.answers()
        assert isinstance(answer.body, PlanRefused)
        assert answer.body.reason == "error"


async def test_what_one_planner_did_not_answer_the_next_one_does() -> None:
    async with running(A, B, ASKING, PLAIN) as bench:
        await bench.ask(request("plain", "done"))
        await bench.answers()
        await bench.ask(request("asking", "open"))
        await bench.wait_for(POLICY_REQUESTS, 1, 3)
        bench.service._member.drain = _at_once  # type: ignore[method-assign]  # as if it had been killed
        await bench.service.stop()
        policy = Answerer(bench.log, ScriptedPolicy())
        membership = await policy.join()
        other = await bench.another()
        answers = await bench.answers(2)
        assert [one.body.request for one in answers if isinstance(one.body, PlanMade)] == ["done", "open"]
        await other.stop()
        await membership.leave()


async def _at_once(timeout_s: float) -> None:
    return None


async def test_offsets_are_committed_once_all_before_them_is_answered() -> None:
    async with running(A, PLAIN) as bench:
        sessions = [new_session_id(5) for _ in range(20)]
        for n, session in enumerate(sessions):
            await bench.ask(request("plain", f"r{n}", session=session))
        await bench.answers(20, sessions[0])
        membership = bench.service._member.membership
        assert membership is not None
        await bench.service._member.drain(60)
        await bench.service._member.commit()
        assert await membership.committed(TopicPartition(PLAN_REQUESTS, 5)) == 20


async def test_the_trace_of_the_request_goes_on_in_question_and_answer() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("planner", 0, SimpleSpanProcessor(exporter))
    propagation.use(tracing)
    try:
        async with running(A, B, ASKING) as bench:
            membership = await Answerer(bench.log, ScriptedPolicy()).join()
            await bench.ask(request("asking"), traceparent=TRACEPARENT)
            (answer,) = await bench.answers()
            await membership.leave()
            await asyncio.sleep(0)
    finally:
        propagation.use(None)
        tracing.close()
    assert answer.envelope.traceparent is not None
    assert answer.envelope.traceparent[:35] == TRACEPARENT[:35]
    spans = {one.name: one for one in exporter.get_finished_spans()}
    assert set(spans) == {"process planner.requests", "send policy.requests", "send planner.plans"}
    whole = spans["process planner.requests"]
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == TRACEPARENT[36:52]
    assert whole.context is not None
    for name in ("send policy.requests", "send planner.plans"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == whole.context.span_id
    sent = spans["send planner.plans"].context
    assert sent is not None
    assert answer.envelope.traceparent[36:52] == f"{sent.span_id:016x}"


async def test_health_is_told_by_name_and_there_are_no_routes() -> None:
    async with running(A, PLAIN) as bench:
        assert bench.service.readiness() == {"caught_up": True, "log": True}
        assert bench.service.failure is None
        assert tuple(bench.service.routes()) == ()
        await bench.service.stop()
        assert bench.service.readiness()["log"] is False
