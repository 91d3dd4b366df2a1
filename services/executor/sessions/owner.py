"""The owner of one partition of sessions: takes its steps, keeps the journal and the states, ends sessions that nobody ends.

Sessions run concurrently, the steps of one session in order. Everything here may come twice: a step counts as done only
with its consequences in the log (architecture §4).
"""

import asyncio
import logging
from functools import partial
from typing import Any, Final

from services.executor.common.ports import LogDiverged
from services.executor.sessions.journal import Journal
from services.executor.sessions.lifetime import expired, is_unproven
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import Marks, Unreadable
from services.executor.sessions.queues import SessionQueues
from services.executor.sessions.settling import Settler, over
from services.executor.sessions.states import SessionStates
from services.executor.sessions.step import StepRunner
from services.executor.sessions.transition import written
from services.executor.sessions.written_states import WrittenStates
from shared.contracts import topics
from shared.contracts.codec import Received
from shared.contracts.envelope import Envelope
from shared.contracts.sessions import SessionAdvanced
from shared.contracts.steps import StepRequested
from shared.kernel.errors import Unavailable
from shared.messaging.log import Record, TopicPartition
from shared.telemetry.propagation import processing

logger = logging.getLogger(__name__)
GROUP: Final = "executor"
IN_HAND: Final = 256
"""Steps of one partition that may wait at a time; each can hold an answer of 64 KiB. To pause the group instead would also hold
back the plans and verdicts that these steps wait for."""
IN_HAND_OF_SESSION: Final = 32
"""As many of one session, a browser's tabs: they go one after the other, so one visitor could keep all others waiting."""


class Owner:
    """Owns one partition from `take_over` to `stop`."""

    def __init__(self, partition: int, parts: Parts, marks: Marks, unreadable: Unreadable) -> None:
        self.partition = partition
        self.diverged: LogDiverged | None = None
        self._parts = parts
        self._marks = marks
        self._stopped = False
        self._in_hand: dict[int, tuple[Record, StepRequested]] = {}
        place, gate = TopicPartition(topics.SESSIONS, partition), parts.ownership
        self.queues = SessionQueues(self._failed)
        self.states = SessionStates(parts.crowd, self._give_up, parts.watch)
        self.journal = Journal(gate, place, self.states, self._unawaited, marks)
        self.written_states = WrittenStates(gate, self.states, partition, self.journal.done, self._failed)
        self._settler = Settler(
            place, parts.log, gate, parts.directory, parts.clock, parts.secret_key, self.states, self.journal, self.written_states
        )
        self._steps = StepRunner(place, parts, self.states, self.journal, self._settler, unreadable)

    def take_step(self, record: Record, received: Received[Any]) -> None:
        """Queue a step behind what its session is doing; one too many is told to come back, and nothing of it is kept."""
        step = received.body
        if self._stopped:
            return None
        if len(self._in_hand) >= IN_HAND or self.queues.length(step.session) >= IN_HAND_OF_SESSION:
            self.queues.spawn(self._steps.turn_away(step))
            return self._marks.done(record)

        async def work() -> None:
            with processing(record, received.envelope, GROUP):
                await self._steps.run(record, step)
            self._in_hand.pop(record.offset, None)
            self._marks.done(record)

        self._in_hand[record.offset] = record, step
        return self.queues.submit(step.session, work)

    def unanswered(self) -> list[tuple[Record, StepRequested]]:
        """The steps that were taken and have no reply yet; once it has stopped, they are somebody else's to answer."""
        return list(self._in_hand.values())

    async def stop(self) -> None:
        """Drop what is held, take nothing more: unfinished steps are somebody else's now."""
        self._stopped = True
        await self.queues.stop()
        await self.written_states.stop()
        self.states.close()

    async def end(self, session: str, reason: str) -> None:
        """End a session that nobody ends by themselves: a transition under a derived id, like any other (architecture §4.7)."""
        await self._settler.settle_owed(session)
        state = self.states.get(session)
        if state.ended or not state.version or (reason == "too_many" and not is_unproven(state)):
            return
        try:
            await self._settler.write(written(self._parts.secret_key, state, over(state, reason, self._parts.clock.now_us())))
        except Unavailable as away:
            self.states.put(state, self.states.packed(session))  # it counts again
            logger.warning("the end of a session is put off: %s", away.code)

    async def sweep(self, now_us: int) -> None:
        """Queue the end of every session that is over by age (a transition under a derived id, like any other: architecture §3, §4.7), and
        the forgetting of those that have ended.

        Behind what the session is doing: orders may wait for PostgreSQL longer than an ended session is held. One at a time:
        after a night without visitors many are due at once, and steps and heartbeats must not wait for them all.
        """
        for session in self.states.due(now_us):
            self.queues.submit(session, partial(self._end_or_forget, session, now_us))
            await asyncio.sleep(0)

    async def _end_or_forget(self, session: str, now_us: int) -> None:
        state = self.states.get(session)
        if state.ended:
            self.states.let_go(state, now_us)
        elif expired(state, now_us):
            await self.end(session, "expired")
        else:
            self.states.look_again(state)

    def _give_up(self, session: str) -> None:
        self.queues.submit(session, lambda: self.end(session, "too_many"))

    def _unawaited(self, envelope: Envelope, body: SessionAdvanced, offset: int) -> None:
        self._settler.owe(envelope, body, offset)
        self.queues.submit(body.session, lambda: self._settler.settle_owed(body.session))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, LogDiverged):
            self.diverged = error
        self._parts.failed(self.partition, error)
