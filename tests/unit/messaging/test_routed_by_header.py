"""A reply, a plan and a verdict that nobody here waits for are not looked at: no proof is verified, nothing is decoded."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from services.executor.edge.replies import Replies
from services.executor.sessions.asking import Asking
from services.planner.adapters.stream.member import PlannerMember
from shared.contracts import topics, wire
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadRecord
from shared.contracts.model import Contract
from shared.contracts.planner import FlowLocated, PlanMade, PlanRefused
from shared.contracts.policy import VerdictReached
from shared.contracts.steps import StepReplied
from shared.kernel.clock import FixedClock
from shared.kernel.ids import new_session_id
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Record
from tests.contract.golden_files import example_of

CLOCK = FixedClock()
SESSION = new_session_id(3)
Take = Callable[[Record], Any]


class Prover:
    """Counts how often a proof is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def check(self, record: Record) -> None:
        self.asked += 1


def answer(topic: str, message: type[Contract], prover: Prover, value: bytes | None = None) -> Record:
    envelope = Envelope("id", message.wire_type, message.wire_version, "somebody", SESSION, 0, causation="of another time")
    headers, packed = encode(envelope, example_of(message))
    return Record(topic, 3, 0, 0, SESSION.encode(), packed if value is None else value, headers, prover)


async def worker() -> Take:
    return Asking(await EmbeddedLog.open(topics.TOPICS), CLOCK).settle


async def edge() -> Take:
    return Replies(await EmbeddedLog.open(topics.TOPICS), "edge", 3, 10)._hand_out


async def planner() -> Take:
    log = await EmbeddedLog.open(topics.TOPICS)
    return PlannerMember(log, None, None, DeadLetters(log, "planner", CLOCK), CLOCK).work  # type: ignore[arg-type]


ANSWERS: dict[str, tuple[Any, str, type[Contract]]] = {
    "a reply, at the edge": (edge, topics.REPLIES, StepReplied),
    "a plan, at the worker": (worker, topics.PLANS, PlanMade),
    "a refusal, at the worker": (worker, topics.PLANS, PlanRefused),
    "a location, at the worker": (worker, topics.PLANS, FlowLocated),
    "a verdict, at the worker": (worker, topics.VERDICTS, VerdictReached),
    "a verdict, at the planner": (planner, topics.VERDICTS, VerdictReached),
}


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded meanwhile."""
    seen: list[bytes] = []

    def noting(raw: bytes, limit: int) -> Any:
        seen.append(raw)
        return real(raw, limit)

    real = wire.unpack
    monkeypatch.setattr(wire, "unpack", noting)
    return seen


@pytest.mark.parametrize(("reader", "topic", "message"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("value", [None, b"", b"\xc1", b"x" * 300_000], ids=["good", "empty", "garbage", "large"])
async def test_what_nobody_waits_for_is_told_by_its_header(
    reader: Any, topic: str, message: type[Contract], value: bytes | None, unpacked: list[bytes]
) -> None:
    prover, take = Prover(), await reader()
    assert take(answer(topic, message, prover, value)) is None
    assert (prover.asked, unpacked) == (0, [])


@pytest.mark.parametrize(("reader", "topic", "message"), ANSWERS.values(), ids=ANSWERS)
async def test_what_does_not_say_what_it_answers_is_proved_before_it_is_read(
    reader: Any, topic: str, message: type[Contract], unpacked: list[bytes]
) -> None:
    prover, take = Prover(), await reader()
    record = answer(topic, message, prover, b"\xc1")
    unsaid = tuple(one for one in record.headers if one[0] != "ce_causationid")
    with suppress(BadRecord):  # the edge only counts it
        take(Record(record.topic, 3, 0, 0, record.key, record.value, unsaid, prover))
    assert (prover.asked, unpacked) == (1, [b"\xc1"])
