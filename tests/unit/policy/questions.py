"""Questions to policy, and what answers them in a test."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.policy.application.ports import Moment
from shared.contracts.codec import encode
from shared.contracts.definitions import BodyPublished, Guard, Mode, PolicyBinding, PolicyBody, body_key, content_hash
from shared.contracts.envelope import Envelope
from shared.contracts.people import Visitor
from shared.contracts.policy import Facts, Purpose, VerdictRequested, facts_digest
from shared.contracts.topics import DEFINITIONS
from shared.flows.policy import Decision, PolicyError
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Message, Record

NOW_US = 1_700_000_000_000_000
SESSION = "03." + "a" * 22
NOBODY_ASKED = Facts(visitor=Visitor(address="192.0.2.1", host="login.example"))


@dataclass
class FakeSandbox:
    """Answers an expression with what the test says, notes what it was asked."""

    answer: Callable[[str], Decision | Exception] = lambda _: Decision(True)
    delay_s: float = 0.0
    asked: list[tuple[str, Facts, Moment, float]] = field(default_factory=list)

    async def evaluate(self, expression: str, facts: Facts, moment: Moment, timeout_s: float) -> Decision:
        self.asked.append((expression, facts, moment, timeout_s))
        await asyncio.sleep(self.delay_s)
        answer = self.answer(expression)
        if isinstance(answer, Exception):
            raise answer
        return answer


def raising(reason: str) -> Callable[[str], Decision | Exception]:
    return lambda _: PolicyError(reason, "what only administrators may read")


def policy_body(kind: str, config: dict[str, Any], name: str = "p") -> tuple[str, PolicyBody]:
    body = PolicyBody(pk=f"pk-{name}", name=name, type=kind, config=config)
    return content_hash("policy", body.model_dump()), body


def published(content: str, body: PolicyBody) -> Message:
    """The record with which catalog publishes a policy."""
    message = BodyPublished(hash=content, kind="policy", content=body.model_dump())
    key = body_key(content)
    headers, value = encode(Envelope(content, message.wire_type, 1, "catalog", key, NOW_US), message)
    return Message(DEFINITIONS, 0, key.encode(), value, headers)


def publish(definitions: Definitions, kind: str, config: dict[str, Any], name: str = "p") -> str:
    """Have the definitions hold a policy; its hash."""
    content, body = policy_body(kind, config, name)
    message = published(content, body)
    definitions.apply(Record(message.topic, 0, 0, 0, message.key, message.value, message.headers))
    return content


def question(
    *bindings: PolicyBinding,
    facts: Facts = NOBODY_ASKED,
    mode: Mode = "any",
    purpose: Purpose = "reach",
    deadline_us: int = NOW_US + 60_000_000,
    request: str = "request-1",
    session: str = SESSION,
) -> VerdictRequested:
    guard = Guard(target="target", mode=mode, bindings=bindings)
    return VerdictRequested(
        request=request,
        session=session,
        run="run-1",
        purpose=purpose,
        guard=guard,
        facts=facts,
        digest=facts_digest(guard, facts),
        deadline_us=deadline_us,
    )
