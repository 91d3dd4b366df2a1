"""The planner's member of its group: takes requests and verdicts, answers many requests at a time.

`planner.requests` and `policy.verdicts` are co-partitioned, so the verdict of a question comes to the member that asked.
An offset is committed once everything before it is answered (architecture §4.5).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from services.planner.adapters.stream.conversation import Conversation
from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from shared.contracts.codec import Received
from shared.contracts.errors import UnknownType
from shared.contracts.model import Contract
from shared.contracts.placement import check_session
from shared.contracts.planner import CODEC as PLANNER
from shared.contracts.planner import FlowRequested, PlanMade, PlanRefused, PlanRequested
from shared.contracts.policy import CODEC as POLICY
from shared.contracts.policy import VerdictReached
from shared.contracts.topics import PLAN_REQUESTS, TOPICS, VERDICTS
from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError, Unavailable
from shared.messaging.dead_letters import UNEXPECTED, DeadLetters, guarded
from shared.messaging.log import Log, LogUnavailable, Membership, Record, Refused, TopicPartition
from shared.messaging.offsets import LowWater
from shared.messaging.questions import Questions
from shared.telemetry.logs import security
from shared.telemetry.metrics import metrics
from shared.telemetry.propagation import processing

GROUP: Final = "planner"
READS: Final = (PLAN_REQUESTS, VERDICTS)
COMMIT_S: Final = 0.5
RETRY_S: Final = 0.1
OPEN_LIMIT: Final = 5_000

_log = logging.getLogger(__name__)


class PlannerMember:
    """See `joining.JoiningMember`."""

    def __init__(self, log: Log, planner: Planner, locator: Locator, dead_letters: DeadLetters, clock: Clock) -> None:
        self._log = log
        self._planner = planner
        self._locator = locator
        self._dead_letters = dead_letters
        self._clock = clock
        self._open: Questions[VerdictReached] = Questions(OPEN_LIMIT)
        self._offsets = LowWater()
        self._tasks: dict[asyncio.Task[None], Record] = {}
        self._held: frozenset[int] = frozenset()
        self._take = guarded(self._take_one, dead_letters, clock)
        self.membership: Membership | None = None

    def joined(self, membership: Membership) -> None:
        """See `JoiningMember.joined`: what a membership that failed had taken is given out again, so nothing of it is kept."""
        for task in self._tasks:
            task.cancel()
        self._offsets = LowWater()
        self._held = frozenset()
        self.membership = membership

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See `GroupMember.assigned`."""
        self._held |= partitions

    async def revoked(self, partitions: frozenset[int]) -> None:
        """Drop what is being answered: the next owner is given those requests again."""
        dropped = [task for task, record in self._tasks.items() if record.partition in partitions]
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)
        try:
            await self.commit()
        except LogUnavailable as error:
            _log.warning("offsets are not committed, their requests will come again: %s", error)
        self._offsets.forget(partitions)
        self._held -= partitions
        metrics().forget_lag(GROUP, partitions)

    async def handle(self, records: Sequence[Record]) -> None:
        """See `GroupMember.handle`."""
        for record in records:
            self._offsets.begin(record)
        await self._take(records)
        # Those that are being answered are done when they are answered; to say it of one twice changes nothing.
        answering = set(map(id, self._tasks.values()))
        for record in records:
            if id(record) not in answering:
                self._offsets.done(record)

    async def commit(self) -> None:
        """Commit how far everything is answered."""
        marks = self._offsets.take()
        if marks and self.membership is not None:
            await self.membership.commit(marks)

    async def committing(self) -> None:
        """Commit every half a second, for ever."""
        while True:
            await asyncio.sleep(COMMIT_S)
            try:
                await self.commit()
            except LogUnavailable as error:
                _log.warning("offsets are not committed now: %s", error)

    @property
    def is_joined(self) -> bool:
        """Whether the membership goes on."""
        return self.membership is not None and self.membership.failure is None

    def held(self) -> tuple[TopicPartition, ...]:
        """Every partition of every topic that is ours."""
        return tuple(TopicPartition(topic, number) for topic in READS for number in sorted(self._held))

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where this partition is done, None if nothing of it came."""
        return self._offsets.mark(place)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is being answered, but not longer."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _take_one(self, record: Record) -> None:
        if record.topic == VERDICTS:
            self._settle(record, _decoded(record))
            return
        asked = _decoded(record)
        metrics().queue_wait(record.topic, (self._clock.now_us() - asked.envelope.time_us) / 1e6)
        task = asyncio.create_task(self._answer(record, asked), name=f"request {asked.envelope.id}")
        self._tasks[task] = record
        task.add_done_callback(self._answered)

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

    def _answered(self, task: asyncio.Task[None]) -> None:
        record = self._tasks.pop(task)
        if not task.cancelled():
            self._offsets.done(record)

    async def _answer(self, record: Record, asked: Received[Contract]) -> None:
        with processing(record, asked.envelope, GROUP):
            try:
                await self._decide(Conversation(self._log, self._clock, self._open, asked, record.partition), asked.body)
            except Unavailable as error:
                # Whoever asked stops waiting by itself and says so to the visitor (architecture §4.14).
                _log.warning("request %s stays without an answer: %s", asked.envelope.id, error)
            except Exception as error:  # noqa: BLE001 - kept with its traceback; a request must not stop its partition
                await self._refuse(record, error)

    async def _refuse(self, record: Record, error: Exception) -> None:
        try:
            code = error.code if isinstance(error, SluiceError) else UNEXPECTED
            await self._dead_letters.put(record, code, type(error).__name__, error)
        except LogUnavailable as away:
            _log.warning("a dead letter of %s %d could not be kept: %s", record.place, record.offset, away)

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
        while True:
            try:
                return await conversation.answer(answer)
            except Refused:
                if not isinstance(answer, PlanMade):
                    raise
                _log.exception("the plan of %s is too large for its topic", answer.plan.flow.slug)
                answer = _too_large(answer)
            except LogUnavailable:
                if deadline_us <= self._clock.now_us():
                    raise
                await asyncio.sleep(RETRY_S)


def _decoded(record: Record) -> Received[Contract]:
    """`BadRecord` for what is not a message of these topics or does not lie where its session belongs."""
    codec = POLICY if record.topic == VERDICTS else PLANNER
    received = codec.decode(record, TOPICS[record.topic].max_bytes)
    body = received.body
    match body:
        case PlanRequested() | FlowRequested() if record.topic == PLAN_REQUESTS:
            check_session(body.session, received.envelope.subject, record.partition)
        case VerdictReached() if record.topic == VERDICTS:
            check_session(body.session, received.envelope.subject, record.partition)
        case _:
            raise UnknownType(body.wire_type)
    return received


def _too_large(made: PlanMade) -> PlanRefused:
    plan = made.plan
    return PlanRefused(request=made.request, session=made.session, run=made.run, reason="error", flow=plan.flow, brand=plan.brand)
