"""Asks the worker that owns a session to take a step, and waits a little for its reply (architecture §5)."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Final, Protocol

from services.executor.edge.placing import Placing
from services.executor.edge.replies import Arrived, Replies
from services.executor.edge.settings import EdgeSettings
from services.executor.edge.visits import Visit
from shared.contracts.definitions import Designation
from shared.contracts.envelope import Envelope
from shared.contracts.steps import Page, Sealed, Shown, StepKind, StepReplied, StepRequested
from shared.contracts.topics import STEPS
from shared.kernel.clock import Clock
from shared.kernel.ids import new_session_id, partition_of, random_id
from shared.messaging.log import Log, LogUnavailable, TopicPartition
from shared.messaging.saying import message
from shared.telemetry.propagation import sending
from shared.web.keyring import KeyRing

_SOURCE: Final = "executor.edge"


class Sealer(Protocol):
    """Seals what a visitor sent, to the workers' current epoch key."""

    def seal(self, session: str, command: str, body: bytes) -> Sealed:
        """The sealed body; `Unavailable` when no key is known that may still be used."""
        ...


class StillWorking(Exception):
    """No reply yet. The step counts if it runs; who awaits the command gets its reply later.

    `away` is the code of the log's trouble if it did not even acknowledge the step, or the worker what came of it: it may hold either all the same.
    """

    def __init__(self, command: str, session: str, body: bytes, away: str | None = None) -> None:
        super().__init__(command)
        self.body = body
        self.command = command
        self.session = session
        self.away = away

    @property
    def reason(self) -> str:
        """What the visitor is told."""
        return self.away or "still_working"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the visitor wants. `body` is the answer: the bytes of one JSON document that `strict_json` has read. `awaited`: see
    `StepRequested`. Every request gets a command of its own; only the same body again, from a browser that awaits the reply to it,
    gets the same `command` (architecture §3)."""

    kind: StepKind
    flow: str = ""
    designation: Designation | None = None
    query: str = ""
    outer_next: str | None = None
    body: bytes = b"{}"
    shown: Shown | None = None
    page: Page | None = None
    awaited: str | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The reply. `fresh`: the session was made for this step, so the browser has no cookie of it yet. `set_back`: in place of one
    that is over, in which the visitor had begun something here."""

    arrived: Arrived
    fresh: bool
    set_back: bool = False

    @property
    def reply(self) -> StepReplied:
        """What the worker said."""
        return self.arrived.reply


class Steps:
    """Writes steps and waits for their replies."""

    def __init__(self, log: Log, replies: Replies, sealer: Sealer, clock: Clock, settings: EdgeSettings, edge: str) -> None:
        self._log = log
        self._replies = replies
        self._sealer = sealer
        self._clock = clock
        self._settings = settings
        self._edge = edge
        self._sessions = KeyRing(settings.secrets, "session/of-page/1")
        self._placing = Placing(log, clock)

    async def ask(self, visit: Visit, asked: Asked) -> Told:
        """Have a step taken; in a fresh session where the browser has none, or its own is over, or its partition is set aside.

        `StillWorking` after two seconds, and when the log is away; `Unavailable` when nothing can have been written.
        """
        if visit.session is None:
            return await self._in_a_fresh_session(visit, asked)
        told = await self._ask(visit, asked, visit.session.session, fresh=False)
        if not _is_over(told.reply) or asked.kind not in ("start", "answer", "locate"):
            return told
        if asked.shown is not None:
            # What the visitor answered is gone with its session: they see the beginning, nothing is delivered. A page that
            # nobody had answered belonged to no session: it is answered in this one.
            asked = replace(asked, kind="start", shown=None)
        return replace(await self._in_a_fresh_session(visit, asked), set_back=bool(visit.shown or visit.awaited))

    async def _in_a_fresh_session(self, visit: Visit, asked: Asked) -> Told:
        if asked.page is not None:
            # Sent twice, it arrives twice at the same session. That can begin as long as a cookie made with the page could have
            # begun one, so that it never begins a second time; later, each sending has one of its own.
            drawn = self._drawn(asked.page, visit)
            told = await self._placed(visit, asked, drawn, asked.page.at_us)
            if not _is_over(told.reply) or _is_aside(told.reply):
                return told
        return await self._placed(visit, asked)

    async def _placed(self, visit: Visit, asked: Asked, drawn: bytes | None = None, made_us: int | None = None) -> Told:
        """Ask in a fresh session, drawn by chance or from these bytes: in another partition, as long as one is set aside."""
        told: Told | None = None
        for number in await self._placing.partitions(None if drawn is None else int.from_bytes(drawn[16:])):
            session = new_session_id(number, secrets.token_bytes if drawn is None else lambda size: drawn[:size])
            told = await self._ask(visit, asked, session, fresh=True, made_us=made_us)
            if not _is_aside(told.reply):
                break
        assert told is not None, "there is no topic without a partition"  # noqa: S101 -- for the type checker
        return told

    def _drawn(self, page: Page, visit: Visit) -> bytes:
        """Of what the session is made of who answers this page from here, and has none."""
        return self._sessions.proof(page.run.encode(), visit.client.address.encode(), visit.agent.encode())

    async def _ask(self, visit: Visit, asked: Asked, session: str, *, fresh: bool, made_us: int | None = None) -> Told:
        step, body = self._step(visit, asked, session, fresh=fresh), asked.body if asked.kind == "answer" else b""
        if made_us is not None:
            step = step.model_copy(update={"made_us": made_us})
        with self._replies.expect(step.command) as waiting:
            try:
                await self._write(step)
            except LogUnavailable as away:
                raise StillWorking(step.command, session, body, away.code) from away
            try:
                async with asyncio.timeout(self._settings.reply_wait_s):
                    told = Told(await waiting, fresh)
            except TimeoutError:
                raise StillWorking(step.command, session, body) from None
        if told.reply.unsettled:
            raise StillWorking(step.command, session, body, told.reply.reason)
        if _is_aside(told.reply):
            self._placing.leave_out(session, told.reply.retry_after_s)
        return told

    async def _write(self, step: StepRequested) -> None:
        partition = partition_of(step.session)
        with sending(STEPS, partition, step.session) as traceparent:
            envelope = Envelope(
                id=step.command, type=step.wire_type, version=step.wire_version, source=f"{_SOURCE}/{self._edge}", subject=step.session,
                time_us=step.received_us, correlation=step.session, traceparent=traceparent,
            )  # fmt: skip
            await self._log.append(message(TopicPartition(STEPS, partition), envelope, step))

    def _step(self, visit: Visit, asked: Asked, session: str, *, fresh: bool) -> StepRequested:
        command = asked.command or random_id()
        now = self._clock.now_us()
        sealed = None
        if asked.kind == "answer":
            sealed = self._sealer.seal(session, command, asked.body)
        return StepRequested(
            command=command, awaited=asked.awaited, kind=asked.kind, session=session,
            made_us=now if fresh or visit.session is None else visit.session.made_us, rotation=0 if fresh else visit.rotation, flow=asked.flow, designation=asked.designation, run=random_id(),
            named=visit.named, shown=asked.shown, page=asked.page, api=visit.api, sealed=sealed, query=asked.query,
            outer_next=asked.outer_next, host=visit.client.host, address=visit.client.address, user_agent=visit.agent,
            secure=visit.client.secure, login=visit.login, devices=tuple(login for _, login in visit.devices), received_us=now,
            deadline_us=now + round(self._settings.step_deadline_s * 1e6), reply_partition=self._replies.partition, edge=self._edge,
        )  # fmt: skip


def _is_aside(reply: StepReplied) -> bool:
    """Whether the session's whole partition takes no step, for the time that the reply says."""
    return reply.retry_after_s > 0 and _is_over(reply)


def _is_over(reply: StepReplied) -> bool:
    return reply.session_over and reply.view is None and reply.outcome in ("refused", "superseded")
