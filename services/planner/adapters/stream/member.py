"""The planner's member of its group: takes requests and verdicts, answers many requests at a time.

`planner.requests` and `policy.verdicts` are co-partitioned, so the verdict of a question comes to the member that asked.
An offset is committed once everything before it is answered (architecture §4.5).
"""

import logging
from functools import partial
from typing import Final

from services.planner.adapters.stream.conversation import Conversation
from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from shared.contracts.codec import Received
from shared.contracts.envelope import causation_of
from shared.contracts.errors import BadField, UnknownType
from shared.contracts.model import Contract
from shared.contracts.placement import check_session
from shared.contracts.planner import CODEC as PLANNER
from shared.contracts.planner import FlowRequested, PlanMade, PlanRefused, PlanRequested, digest_of
from shared.contracts.policy import CODEC as POLICY
from shared.contracts.policy import VerdictReached
from shared.contracts.topics import PLAN_REQUESTS, TOPICS, VERDICTS
from shared.kernel.clock import Clock
from shared.kernel.retrying import insist
from shared.messaging.answering import AnsweringMember, Work
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, LogUnavailable, Record, Refused
from shared.messaging.open_questions import OpenQuestions
from shared.telemetry.logs import security
from shared.telemetry.metrics import metrics
from shared.telemetry.propagation import processing

GROUP: Final = "planner"
RETRY_S: Final = 0.1
OPEN_LIMIT: Final = 5_000

_log = logging.getLogger(__name__)


class PlannerMember(AnsweringMember):
    """Answers requests; takes the verdicts on its own questions."""

    reads = (PLAN_REQUESTS, VERDICTS)

    def __init__(self, log: Log, planner: Planner, locator: Locator, dead_letters: DeadLetters, clock: Clock) -> None:
        super().__init__(dead_letters, clock, lambda partitions: metrics().forget_lag(GROUP, partitions))
        self._log = log
        self._planner = planner
        self._locator = locator
        self._clock = clock
        self._open: OpenQuestions[VerdictReached] = OpenQuestions(OPEN_LIMIT)

    def work(self, record: Record) -> Work | None:
        """See `AnsweringMember.work`."""
        answered = causation_of(record.headers)
        if record.topic == VERDICTS and answered is not None and not self._open.awaits(answered):
            return None  # the worker's, or nobody's any more
        received = _decoded(record)
        if record.topic == VERDICTS:
            self._settle(record, received)
            return None
        metrics().queue_wait(record.topic, (self._clock.now_us() - received.envelope.time_us) / 1e6)
        return partial(self._answer, record, received)

    def _settle(self, record: Record, received: Received[Contract]) -> None:
        """A verdict counts once, for the question with its id and digest, while that is open (architecture §4.7).

        Verdicts on the worker's questions come by here too and are no news; one on other facts than were asked about is.
        """
        verdict = received.body
        if not isinstance(verdict, VerdictReached):
            return
        foreign = self._open.refused["foreign"]
        if not self._open.settle(verdict.request, verdict.digest, verdict) and self._open.refused["foreign"] > foreign:
            security("foreign_verdict", len(record.value or b""), {"topic": record.topic, "offset": record.offset})

    async def _answer(self, record: Record, asked: Received[Contract]) -> None:
        with processing(record, asked.envelope, GROUP):
            await self._decide(Conversation(self._log, self._clock, self._open, asked, record.partition), asked.body)

    async def _decide(self, conversation: Conversation, asked: Contract) -> None:
        match asked:
            case PlanRequested():
                if asked.deadline_us <= self._clock.now_us():
                    return
                await self._say(conversation, await self._planner.plan(asked, conversation), asked.deadline_us)
            case FlowRequested():
                if asked.deadline_us <= self._clock.now_us():
                    return
                await self._say(conversation, await self._locator.locate(asked, conversation), asked.deadline_us)
            case _:
                raise UnknownType(asked.wire_type)

    async def _say(self, conversation: Conversation, answer: Contract, deadline_us: int) -> None:
        """Answer; again and again while the log is away and somebody may still be waiting."""

        def nobody_waits(_: float) -> bool:
            return deadline_us <= self._clock.now_us()

        try:
            await insist(lambda: conversation.answer(answer), RETRY_S, on=LogUnavailable, gives_up=nobody_waits)
        except Refused:
            if not isinstance(answer, PlanMade):
                raise
            _log.exception("the plan of %s is too large for its topic", answer.plan.flow.slug)
            await self._say(conversation, _too_large(answer), deadline_us)


def _decoded(record: Record) -> Received[Contract]:
    """`BadRecord` for what is not a message of these topics or does not lie where its session belongs."""
    codec = POLICY if record.topic == VERDICTS else PLANNER
    received = codec.decode(record, TOPICS[record.topic].max_bytes)
    body = received.body
    match body:
        case PlanRequested() | FlowRequested() if record.topic == PLAN_REQUESTS:
            check_session(body.session, received.envelope.subject, record.partition)
            if body.digest != digest_of(body):
                raise BadField("digest")
        case VerdictReached() if record.topic == VERDICTS:
            check_session(body.session, received.envelope.subject, record.partition)
        case _:
            raise UnknownType(body.wire_type)
    return received


def _too_large(made: PlanMade) -> PlanRefused:
    plan = made.plan
    return PlanRefused(
        request=made.request, session=made.session, run=made.run, digest=made.digest, reason="error", flow=plan.flow, brand=plan.brand
    )
