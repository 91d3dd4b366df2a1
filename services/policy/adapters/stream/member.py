"""Policy's member of its group: takes questions, answers many at a time, each once its verdict is reached.

An offset is committed once everything before it is answered (architecture §4.5), so a question that a dead member left
is asked again; its verdict is the same, and the asker takes the first.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from services.policy.application.decide import Decide
from shared.contracts.codec import Received, encode
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadField, UnknownType
from shared.contracts.placement import check_session
from shared.contracts.policy import CODEC, VerdictReached, VerdictRequested, facts_digest
from shared.contracts.topics import POLICY_REQUESTS, TOPICS, VERDICTS
from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError
from shared.kernel.ids import derived_id
from shared.messaging.dead_letters import UNEXPECTED, DeadLetters, guarded
from shared.messaging.log import Log, LogUnavailable, Membership, Message, Record, TopicPartition
from shared.messaging.offsets import LowWater
from shared.telemetry.metrics import metrics
from shared.telemetry.propagation import processing, sending

GROUP: Final = "policy"
READS: Final = (POLICY_REQUESTS,)
COMMIT_S: Final = 0.5
RETRY_S: Final = 0.1
IN_HAND: Final = 500
"""Questions in hand above which no more are taken until half of them are answered."""
_ID_DOMAIN: Final = b"sluice policy verdict"

_log = logging.getLogger(__name__)


class PolicyMember:
    """See `joining.JoiningMember`."""

    def __init__(self, log: Log, decide: Decide, dead_letters: DeadLetters, clock: Clock) -> None:
        self._log = log
        self._decide = decide
        self._dead_letters = dead_letters
        self._clock = clock
        self._offsets = LowWater()
        self._tasks: dict[asyncio.Task[None], Record] = {}
        self._held: frozenset[int] = frozenset()
        self._paused: frozenset[int] = frozenset()
        self._take = guarded(self._take_one, dead_letters, clock)
        self.membership: Membership | None = None

    def joined(self, membership: Membership) -> None:
        """See `JoiningMember.joined`: what a membership that failed had taken is given out again, so nothing of it is kept."""
        for task in self._tasks:
            task.cancel()
        self._offsets = LowWater()
        self._held = frozenset()
        self._paused = frozenset()
        self.membership = membership

    async def assigned(self, partitions: frozenset[int]) -> None:
        """See `GroupMember.assigned`."""
        self._held |= partitions

    async def revoked(self, partitions: frozenset[int]) -> None:
        """Drop what is being answered: the next owner is given those questions again."""
        dropped = [task for task, record in self._tasks.items() if record.partition in partitions]
        for task in dropped:
            task.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)
        try:
            await self.commit()
        except LogUnavailable as error:
            _log.warning("offsets are not committed, their questions will come again: %s", error)
        self._offsets.forget(partitions)
        self._held -= partitions
        self._paused -= partitions
        metrics().forget_lag(GROUP, partitions)

    async def handle(self, records: Sequence[Record]) -> None:
        """See `GroupMember.handle`."""
        for record in records:
            self._offsets.begin(record)
        await self._take(records)
        # What is not in hand was dead-lettered. To say of one twice that it is done changes nothing.
        in_hand = set(map(id, self._tasks.values()))
        for record in records:
            if id(record) not in in_hand:
                self._offsets.done(record)
        if len(self._tasks) > IN_HAND and self.membership is not None and not self._paused:
            self._paused = self._held
            self.membership.pause(self._paused)

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
        """Every partition that is ours."""
        return tuple(TopicPartition(topic, number) for topic in READS for number in sorted(self._held))

    def mark(self, place: TopicPartition) -> int | None:
        """Up to where this partition is done, None if nothing of it came."""
        return self._offsets.mark(place)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is in hand, but not longer."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _take_one(self, record: Record) -> None:
        asked = _decoded(record)
        metrics().queue_wait(record.topic, (self._clock.now_us() - asked.envelope.time_us) / 1e6)
        task = asyncio.create_task(self._answer(record, asked), name=f"question {asked.envelope.id}")
        self._tasks[task] = record
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        record = self._tasks.pop(task)
        if not task.cancelled():
            self._offsets.done(record)
        if self._paused and len(self._tasks) <= IN_HAND // 2 and self.membership is not None:
            paused, self._paused = self._paused, frozenset()
            self.membership.resume(paused)

    async def _answer(self, record: Record, asked: Received[VerdictRequested]) -> None:
        with processing(record, asked.envelope, GROUP):
            try:
                verdict = await self._decide(asked.body, asked.envelope.time_us)
                if verdict is not None:
                    await self._say(record.partition, asked, verdict)
            except LogUnavailable as error:
                # Whoever asked stops waiting by itself and says so to the visitor (architecture §4.14).
                _log.warning("question %s stays without an answer: %s", asked.envelope.id, error)
            except Exception as error:  # noqa: BLE001 - kept with its traceback; a question must not stop its partition
                await self._refuse(record, error)

    async def _refuse(self, record: Record, error: Exception) -> None:
        try:
            code = error.code if isinstance(error, SluiceError) else UNEXPECTED
            await self._dead_letters.put(record, code, type(error).__name__, error)
        except LogUnavailable as away:
            _log.warning("a dead letter of %s %d could not be kept: %s", record.place, record.offset, away)

    async def _say(self, partition: int, asked: Received[VerdictRequested], verdict: VerdictReached) -> None:
        """Append the verdict; again and again while the log is away and somebody may still be waiting."""
        while True:
            try:
                await self._append(partition, asked.envelope, verdict)
            except LogUnavailable:
                if self._decide.remaining_s(asked.body) <= 0:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _append(self, partition: int, cause: Envelope, verdict: VerdictReached) -> None:
        with sending(VERDICTS, partition, cause.subject) as traceparent:
            envelope = Envelope(
                id=derived_id(_ID_DOMAIN, cause.source, cause.id),
                type=verdict.wire_type,
                version=verdict.wire_version,
                source=GROUP,
                subject=cause.subject,
                time_us=self._clock.now_us(),
                causation=cause.id,
                correlation=cause.correlation,
                traceparent=traceparent,
            )
            headers, value = encode(envelope, verdict)
            await self._log.append(Message(VERDICTS, partition, cause.subject.encode(), value, headers))


def _decoded(record: Record) -> Received[VerdictRequested]:
    """`BadRecord` for what is no question, does not lie where its session belongs, or is not what its digest says."""
    received = CODEC.decode(record, TOPICS[record.topic].max_bytes)
    body = received.body
    if not isinstance(body, VerdictRequested):
        raise UnknownType(body.wire_type)
    check_session(body.session, received.envelope.subject, record.partition)
    if facts_digest(body.guard, body.facts) != body.digest:
        raise BadField("digest")
    return Received(received.envelope, body)
