"""Somebody floods a topic of answers: none is looked at, let alone verified, that answers nothing that is asked here."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from services.executor.edge.replies import Replies
from services.executor.sessions.asking import Asking
from services.planner.adapters.stream.member import PlannerMember
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadProof
from shared.contracts.model import Contract
from shared.contracts.planner import PlanRefused
from shared.contracts.policy import VerdictReached
from shared.contracts.steps import StepReplied
from shared.contracts.topics import PLANS, REPLIES, VERDICTS
from shared.kernel.clock import FixedClock
from shared.messaging.log import Record
from tests.security.acting import session
from tests.unit.policy.questions import question

LOG: object = None  # nobody writes


class Asked:
    """Counts who wants to know, and believes nobody."""

    def __init__(self) -> None:
        self.times = 0

    def check(self, record: Record) -> None:
        self.times += 1
        raise BadProof("forged")


def forged(topic: str, body: Contract, answers: str | None, asked: Asked, subject: str) -> Record:
    headers, value = encode(Envelope("i", body.wire_type, body.wire_version, "policy", subject, 0, causation=answers), body)
    return Record(topic, 3, 0, 0, subject.encode(), value, headers, asked)


def at_the_worker() -> Callable[[Record], object]:
    asking = Asking(LOG, FixedClock())  # type: ignore[arg-type]
    asking._verdicts.open("open", question().digest)
    asking._plans.open("open", "d")
    return asking.settle


def at_the_planner() -> Callable[[Record], object]:
    member = PlannerMember(LOG, LOG, LOG, LOG, FixedClock())  # type: ignore[arg-type]
    member._open.open("open", question().digest)
    return member.work


def at_the_edge() -> Callable[[Record], object]:
    replies = Replies(LOG, "edge", 3, 10)  # type: ignore[arg-type]
    replies._waiting["open"] = []
    return replies._hand_out


def verdict(answers: str) -> Contract:
    asked = question(request=answers)
    return VerdictReached(request=answers, session=asked.session, run=asked.run, digest=asked.digest, outcome="fail")


def plan(answers: str) -> Contract:
    return PlanRefused(request=answers, session=session(1), run="r", digest="d", reason="empty")


def reply(answers: str) -> Contract:
    return StepReplied(command=answers, edge="edge", session=session(1), outcome="current")


@pytest.mark.parametrize(
    ("reader", "topic", "answer"),
    [(at_the_worker, VERDICTS, verdict), (at_the_worker, PLANS, plan), (at_the_planner, VERDICTS, verdict), (at_the_edge, REPLIES, reply)],
    ids=["verdicts at a worker", "plans at a worker", "verdicts at the planner", "replies at an edge"],
)
async def test_only_what_somebody_waits_for_is_verified(
    reader: Callable[[], Callable[[Record], object]], topic: str, answer: Callable[[str], Contract]
) -> None:
    take, asked = reader(), Asked()
    for n in range(1000):
        take(forged(topic, answer(f"other {n}"), f"other {n}", asked, session(1)))
    assert asked.times == 0
    for said in ("open", None):  # one that is waited for, and one that does not say what it answers
        before = asked.times
        with suppress(BadProof):
            take(forged(topic, answer("open"), said, asked, session(1)))
        assert asked.times == before + 1
