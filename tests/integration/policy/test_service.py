"""The service on a log: questions in, verdicts out, and what does not belong goes aside without holding anybody up."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.policy.bootstrap import PolicyService, build
from services.policy.settings import Settings
from shared.contracts import failures
from shared.contracts.codec import Received, encode
from shared.contracts.definitions import PolicyBinding
from shared.contracts.envelope import Envelope
from shared.contracts.failures import RecordRefused
from shared.contracts.policy import CODEC, VerdictReached, VerdictRequested
from shared.contracts.topics import DEAD_LETTERS, POLICY_REQUESTS, VERDICTS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import LogUnavailable, Message, Record
from tests.unit.flows.test_expression import PASSWORD_STAGE
from tests.unit.policy.questions import SESSION, policy_body, published, question

WAIT_S = 60.0
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
CLOCK = SystemClock()


def asked(*bindings: PolicyBinding, request: str = "request-1", **changes: Any) -> VerdictRequested:
    return question(*bindings, request=request, deadline_us=CLOCK.now_us() + changes.pop("left_us", 60_000_000), **changes)


def message(body: VerdictRequested, partition: int = 3) -> Message:
    envelope = Envelope(
        id=body.request, type=body.wire_type, version=1, source="executor", subject=body.session, time_us=CLOCK.now_us(),
        correlation=body.session, traceparent=TRACE,
    )  # fmt: skip
    headers, value = encode(envelope, body)
    return Message(POLICY_REQUESTS, partition, body.session.encode(), value, headers)


async def until(log: EmbeddedLog, topic: str, count: int, partition: int = 3) -> list[Record]:
    """The records of a partition, once there are so many."""
    found: list[Record] = []
    tail = log.tail(topic, {partition: 0})
    async with asyncio.timeout(WAIT_S):
        async for batch in tail:
            found += batch
            if len(found) >= count:
                break
    await tail.close()
    return found


async def verdicts(log: EmbeddedLog, count: int) -> list[Received[VerdictReached]]:
    received = [CODEC.decode(record) for record in await until(log, VERDICTS, count)]
    return [Received(found.envelope, found.body) for found in received if isinstance(found.body, VerdictReached)]


async def publish(log: EmbeddedLog, kind: str, config: dict[str, Any]) -> PolicyBinding:
    content, body = policy_body(kind, config)
    await log.append(published(content, body))
    return PolicyBinding(pk="b-1", order=0, policy=content, policy_name="p")


async def test_answers_a_question_where_it_was_asked_and_says_why(log: EmbeddedLog, service: PolicyService) -> None:
    binding = await publish(log, "expression", {"expression": PASSWORD_STAGE})
    given = asked(binding)
    await log.append(message(given))
    (verdict,) = await verdicts(log, 1)
    assert (verdict.body.outcome, verdict.body.request, verdict.body.digest) == ("pass", "request-1", given.digest)
    envelope = verdict.envelope
    assert (envelope.subject, envelope.causation, envelope.correlation, envelope.source) == (SESSION, "request-1", SESSION, "policy")
    assert envelope.traceparent is not None
    assert envelope.traceparent[:35] == TRACE[:35]


async def test_is_ready_and_has_no_failure_once_started(service: PolicyService) -> None:
    assert service.readiness() == {"caught_up": True, "sandbox": True, "log": True}
    assert service.failure is None


async def test_the_same_question_again_gets_the_same_id_and_answer(log: EmbeddedLog, service: PolicyService) -> None:
    given = asked(await publish(log, "expression", {"expression": "ak_message('hi')\nreturn False"}))
    await log.append(message(given))
    await log.append(message(given))
    first, second = await verdicts(log, 2)
    assert first.envelope.id == second.envelope.id
    assert (first.body.outcome, first.body.messages) == (second.body.outcome, second.body.messages) == ("fail", ("hi",))


async def test_a_slow_question_does_not_hold_up_the_next_one(log: EmbeddedLog, service: PolicyService) -> None:
    slow = await publish(log, "dummy", {"result": True, "wait_min": 50, "wait_max": 50})
    await log.append(message(asked(slow, request="slow")))
    await log.append(message(asked(request="quick")))
    assert [verdict.body.request for verdict in await verdicts(log, 1)] == ["quick"]


def _foreign(given: Message) -> Message:
    return Message(given.topic, 4, given.key, given.value, given.headers)


def _garbage(given: Message) -> Message:
    return Message(given.topic, given.partition, given.key, b"\xc1", given.headers)


def _unknown(given: Message) -> Message:
    headers = tuple((name, b"policy.nothing" if name == "ce_type" else value) for name, value in given.headers)
    return Message(given.topic, given.partition, given.key, given.value, headers)


def _altered(given: Message) -> Message:
    body = CODEC.decode(Record(given.topic, 3, 0, 0, given.key, given.value, given.headers)).body
    assert isinstance(body, VerdictRequested)
    return message(body.model_copy(update={"facts": body.facts.model_copy(update={"planned": True})}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(_garbage, "E_EVT_SYNTAX"), (_unknown, "E_EVT_UNKNOWN"), (_foreign, "E_EVT_KEY"), (_altered, "E_EVT_FIELD")],
)
async def test_what_is_no_question_goes_to_the_dead_letters_and_the_next_is_answered(
    log: EmbeddedLog, service: PolicyService, spoil: Callable[[Message], Message], reason: str
) -> None:
    await log.append(spoil(message(asked(request="spoilt"))))
    await log.append(message(asked(request="good")))
    (verdict,) = await verdicts(log, 1)
    assert verdict.body.request == "good"
    (letter,) = await until(log, DEAD_LETTERS, 1, partition=0)
    refused = failures.CODEC.decode(letter).body
    assert isinstance(refused, RecordRefused)
    assert (refused.service, refused.reason, refused.topic) == ("policy", reason, POLICY_REQUESTS)


async def test_a_question_past_its_deadline_is_dropped_and_not_kept(log: EmbeddedLog, service: PolicyService) -> None:
    await log.append(message(asked(request="late", left_us=-1)))
    await log.append(message(asked(request="in time")))
    assert [verdict.body.request for verdict in await verdicts(log, 1)] == ["in time"]


async def test_a_second_life_answers_only_what_the_first_left(log: EmbeddedLog) -> None:
    settings = Settings(policy_workers=1)
    first = await build(settings, log, CLOCK)
    await first.start()
    await log.append(message(asked(request="one")))
    await verdicts(log, 1)
    await first.stop()
    await log.append(message(asked(request="two")))
    second = await build(settings, log, CLOCK)
    await second.start()
    try:
        assert [verdict.body.request for verdict in await verdicts(log, 2)] == ["one", "two"]
    finally:
        await second.stop()


async def test_a_verdict_is_said_again_while_the_log_is_away(
    log: EmbeddedLog, service: PolicyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, refusals = log.append, iter(range(2))

    async def flaky(given: Message) -> int:
        if given.topic == VERDICTS and next(refusals, None) is not None:
            raise LogUnavailable
        return await append(given)

    monkeypatch.setattr(log, "append", flaky)
    await log.append(message(asked()))
    assert [verdict.body.outcome for verdict in await verdicts(log, 1)] == ["pass"]


async def test_more_questions_than_can_be_in_hand_are_all_answered(log: EmbeddedLog, service: PolicyService) -> None:
    binding = await publish(log, "dummy", {"result": True, "wait_min": 1, "wait_max": 1})
    await asyncio.gather(*(log.append(message(asked(binding, request=f"r-{number}"))) for number in range(600)))
    found = await verdicts(log, 600)
    assert {verdict.body.request for verdict in found} == {f"r-{number}" for number in range(600)}
    assert {verdict.body.outcome for verdict in found} == {"pass"}
