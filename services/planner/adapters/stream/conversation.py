"""One request to the planner as a conversation on the log: what it makes us say, and the verdicts that it waits for."""

from dataclasses import dataclass
from typing import Final

from services.planner.application.asking_policy import ID_DOMAIN
from shared.contracts.codec import Received
from shared.contracts.model import Contract
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.contracts.topics import PLANS, POLICY_REQUESTS
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_id
from shared.messaging.log import Log, TopicPartition
from shared.messaging.open_questions import NoReply, OpenQuestions
from shared.messaging.saying import say
from shared.telemetry.propagation import sending

SOURCE: Final = "planner"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Writes for one request, into the partition that the request came from; the port `Policy` is a part of it.

    Ids are derived from the request's, so that a request that is delivered again makes us say the same again.
    """

    log: Log
    clock: Clock
    open: OpenQuestions[VerdictReached]
    asked: Received[Contract]
    partition: int

    async def verdict(self, question: VerdictRequested) -> VerdictReached:
        """See `Policy.verdict`."""
        left_s = (question.deadline_us - self.clock.now_us()) / 1e6
        if left_s <= 0:
            raise NoReply("no time is left to ask")
        future = self.open.open(question.request, question.digest)
        try:
            await self._say(POLICY_REQUESTS, question, question.request)
            return await self.open.reply(future, left_s)
        finally:
            future.cancel()

    async def answer(self, body: Contract) -> None:
        """Answer the request.

        Raises:
            LogUnavailable: the answer may or may not be in the log.
            Refused: it is too large for the topic.
        """
        await self._say(PLANS, body, derived_id(ID_DOMAIN, self.asked.envelope.id, body.wire_type))

    async def _say(self, topic: str, body: Contract, identity: str) -> None:
        cause = self.asked.envelope
        with sending(topic, self.partition, cause.subject) as traceparent:
            await say(self.log, self.clock, TopicPartition(topic, self.partition), cause, SOURCE, identity, body, traceparent)
