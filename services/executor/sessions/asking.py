"""Planner and policy, asked over their topics: a question out on the session's partition, its answer back on the same."""

import asyncio
from typing import Any, Final, TypeVar

from shared.contracts import planner as p
from shared.contracts import policy, topics
from shared.contracts.envelope import Envelope, causation_of
from shared.contracts.model import Contract
from shared.kernel.clock import Clock
from shared.kernel.ids import partition_of
from shared.messaging.log import Log, Record, TopicPartition
from shared.messaging.open_questions import OpenQuestions
from shared.messaging.saying import message
from shared.telemetry.propagation import current_traceparent, sending

TIMEOUT_S: Final = 1.5
T = TypeVar("T")
PlannerAnswer = p.PlanMade | p.PlanRefused | p.FlowLocated


class Asking:
    """Both ports of `services.executor.sessions.ports`, for one worker."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._plans: OpenQuestions[PlannerAnswer] = OpenQuestions()
        self._verdicts: OpenQuestions[policy.VerdictReached] = OpenQuestions()

    async def plan(self, question: p.PlanRequested) -> p.PlanMade | p.PlanRefused:
        """See `services.executor.sessions.ports.Planner.plan`."""
        reply = await self._asked(self._plans, topics.PLAN_REQUESTS, question.request, question.digest, question.session, question)
        if isinstance(reply, p.FlowLocated):
            raise TypeError("a location for a plan")
        return reply

    async def locate(self, question: p.FlowRequested) -> p.FlowLocated:
        """See `services.executor.sessions.ports.Planner.locate`."""
        reply = await self._asked(self._plans, topics.PLAN_REQUESTS, question.request, question.digest, question.session, question)
        if not isinstance(reply, p.FlowLocated):
            raise TypeError("a plan for a location")
        return reply

    async def decide(self, question: policy.VerdictRequested) -> policy.VerdictReached:
        """See `services.executor.sessions.ports.Policy.decide`."""
        return await self._asked(self._verdicts, topics.POLICY_REQUESTS, question.request, question.digest, question.session, question)

    async def _asked(self, open_: OpenQuestions[T], topic: str, request: str, digest: str, session: str, question: Contract) -> T:
        future = open_.open(request, digest)
        with sending(topic, partition_of(session), session):
            envelope = Envelope(
                id=request, type=question.wire_type, version=question.wire_version, source="executor", subject=session,
                time_us=self._clock.now_us(), correlation=session, traceparent=current_traceparent(),
            )  # fmt: skip
            asked = message(TopicPartition(topic, partition_of(session)), envelope, question)
            # The answer may be here before the broker's acknowledgement; only its failure matters.
            written = asyncio.ensure_future(self._log.append(asked))
        try:
            reply = await open_.reply(future, TIMEOUT_S)
        except BaseException:
            written.cancel()
            await asyncio.gather(written, return_exceptions=True)
            raise
        await written
        return reply

    def settle(self, record: Record) -> None:
        """An answer of planner or policy. One to a question that is not open here is nothing to us. Raises `BadRecord`."""
        answered = causation_of(record.headers)
        open_: OpenQuestions[Any] = self._plans if record.topic == topics.PLANS else self._verdicts
        if answered is not None and not open_.awaits(answered):
            return
        if record.topic == topics.PLANS:
            made = p.CODEC.decode(record).body
            if isinstance(made, p.PlanMade | p.PlanRefused | p.FlowLocated):
                self._plans.settle(made.request, made.digest, made)
            return
        reached = policy.CODEC.decode(record).body
        if isinstance(reached, policy.VerdictReached):
            self._verdicts.settle(reached.request, reached.digest, reached)
