"""Policy's member of its group: takes questions, answers many at a time, each once its verdict is reached.

An offset is committed once everything before it is answered (architecture §4.5), so a question that a dead member left
is asked again; its verdict is the same, and the asker takes the first.
"""

from functools import partial
from typing import Final

from services.policy.application.decide import Decide
from shared.contracts.codec import Received
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadField, UnknownType
from shared.contracts.placement import check_session
from shared.contracts.policy import CODEC, VerdictReached, VerdictRequested, facts_digest
from shared.contracts.topics import POLICY_REQUESTS, TOPICS, VERDICTS
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_id
from shared.kernel.retrying import insist
from shared.messaging.answering import AnsweringMember, Work
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, LogUnavailable, Record, TopicPartition
from shared.messaging.saying import say
from shared.telemetry.metrics import metrics
from shared.telemetry.propagation import processing, sending

GROUP: Final = "policy"
RETRY_S: Final = 0.1
_ID_DOMAIN: Final = b"sluice policy verdict"


class PolicyMember(AnsweringMember):
    """Answers questions."""

    reads = (POLICY_REQUESTS,)

    def __init__(self, log: Log, decide: Decide, dead_letters: DeadLetters, clock: Clock) -> None:
        super().__init__(dead_letters, clock, lambda partitions: metrics().forget_lag(GROUP, partitions))
        self._log = log
        self._decide = decide
        self._clock = clock

    def work(self, record: Record) -> Work | None:
        """See `AnsweringMember.work`."""
        asked = _decoded(record)
        metrics().queue_wait(record.topic, (self._clock.now_us() - asked.envelope.time_us) / 1e6)
        return partial(self._answer, record, asked)

    async def _answer(self, record: Record, asked: Received[VerdictRequested]) -> None:
        with processing(record, asked.envelope, GROUP):
            verdict = await self._decide(asked.body, asked.envelope.time_us)
            if verdict is not None:
                await self._say(record.partition, asked, verdict)

    async def _say(self, partition: int, asked: Received[VerdictRequested], verdict: VerdictReached) -> None:
        """Append the verdict; again and again while the log is away and somebody may still be waiting."""
        await insist(
            lambda: self._append(partition, asked.envelope, verdict),
            RETRY_S,
            on=LogUnavailable,
            gives_up=lambda _: self._decide.remaining_s(asked.body) <= 0,
        )

    async def _append(self, partition: int, cause: Envelope, verdict: VerdictReached) -> None:
        with sending(VERDICTS, partition, cause.subject) as traceparent:
            identity = derived_id(_ID_DOMAIN, cause.source, cause.id)
            await say(self._log, self._clock, TopicPartition(VERDICTS, partition), cause, GROUP, identity, verdict, traceparent)


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
