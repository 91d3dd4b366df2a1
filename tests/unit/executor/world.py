"""A worker's world in memory: the log, a directory of two users, a planner with fixed flows, a policy with fixed verdicts.

Tests speak to it as an edge does: steps in, replies out.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from services.executor.common.ports import AnotherTransition, Aside, AskKey, Noted, OrderKey, Remembered, SealOpener
from services.executor.sessions.crowd import Crowd
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import AtHome, Watching
from services.executor.sessions.starts import Starts
from services.executor.sessions.worker import Worker
from shared.contracts import asks, topics
from shared.contracts.asks import Ask
from shared.contracts.codec import Received, encode
from shared.contracts.definitions import FlowFacts, Guard, PolicyBinding
from shared.contracts.envelope import Envelope
from shared.contracts.model import Contract, Value
from shared.contracts.orders import Order, OrderResult
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.planner import BrandFacts, FlowLocated, FlowRequested, Plan, PlanMade, PlannedStage, PlanRefused, PlanRequested
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.contracts.sessions import CODEC as SESSIONS_CODEC
from shared.contracts.steps import CODEC, Page, Sealed, Shown, StepReplied, StepRequested, challenge_digest
from shared.flows.registry import Registry, registry
from shared.kernel.clock import FixedClock
from shared.kernel.ids import new_session_id, partition_of, random_id
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Message, TopicPartition
from shared.telemetry.metrics import metrics
from tests.signing import opened

SECRET = b"k" * 32
CACHED_STARTS = int(os.environ.get("SLUICE_TEST_CACHED_STARTS", "100"))
"""0: every start is planned again with its answer; everything has to come out the same."""
ALICE = UserFacts(
    pk=7, uuid="7", uid="uid-alice", username="alice", name="Alice", email="alice@example.com", is_active=True, is_superuser=False
)


def stage(kind: str, config: Mapping[str, Any] | None = None, *, guarded: bool = False, action: str = "retry") -> PlannedStage:
    """A planned stage; `guarded` gives it a policy binding, about which the world's `verdicts` decide."""
    bindings = (PolicyBinding(pk=f"pb-{kind}", order=0, policy="hash"),) if guarded else ()
    return PlannedStage.model_validate(
        {
            "binding": f"b-{kind}", "stage": f"s-{kind}", "name": kind, "type": kind, "config": dict(config or {}),
            "invalid_response_action": action, "guard": Guard(target=f"b-{kind}", bindings=bindings).model_dump(),
        }
    )  # fmt: skip


PASSWORD = {"backends": ("authentik.core.auth.InbuiltBackend",)}
LOGIN_STAGES = (stage("identification", {"user_fields": ("username",)}), stage("password", PASSWORD), stage("user_login"))


@dataclass
class FakeDirectory:
    """Alice, whose password is `secret`. `fail` and `refuse` make it fail as PostgreSQL does; `says` are other answers, by an ask's kind."""

    says: dict[str, Value] = field(default_factory=dict)
    performed: dict[OrderKey, list[Order]] = field(default_factory=dict)
    asked: list[tuple[AskKey, Ask[Any]]] = field(default_factory=list)
    fail: Exception | None = None
    away_for_orders: int = 0
    refuse: str = ""

    async def answer(self, ask: Ask[Any], key: AskKey, secret: str | None, devices: Sequence[str] = ()) -> Value:
        if self.fail:
            raise self.fail
        self.asked.append((key, ask))
        if ask.kind in self.says:
            return self.says[ask.kind]
        match ask:
            case asks.FindUser():
                return asks.UserFound(user=ALICE if ask.value == "alice" else None, identifier=ask.value)
            case asks.GetUser():
                return asks.UserFound(user=ALICE if ask.user == ALICE.pk else None, identifier="alice")
            case asks.VerifyPassword():
                good = ask.user == ALICE.pk and secret == "secret"
                return asks.PasswordVerified(
                    outcome="ok" if good else "wrong", user=ALICE if good else None, backend="inbuilt", method="password"
                )
            case _:
                return asks.DevicesListed(devices=())

    async def perform(self, key: OrderKey, orders: Sequence[Order]) -> Sequence[OrderResult]:
        if self.away_for_orders:
            self.away_for_orders -= 1
            from shared.kernel.errors import Unavailable

            raise Unavailable("away")
        for other in self.performed:
            if (other.session, other.version) == (key.session, key.version) and other.transition != key.transition:
                raise AnotherTransition(key, Noted(-1 if other.offset is None else other.offset, other.transition))
        self.performed.setdefault(key, list(orders))
        return [OrderResult(n=n, done=not self.refuse, reason=self.refuse) for n, _ in enumerate(orders, 1)]


@dataclass
class FakeSetAside:
    """The rows of what is set aside, and what the directory remembers of orders; `fail` makes it fail as PostgreSQL does."""

    directory: FakeDirectory
    asides: dict[int, Aside] = field(default_factory=dict)
    sessions: dict[int, int] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)
    fail: Exception | None = None

    async def rows(self) -> Mapping[int, Aside]:
        if self.fail:
            raise self.fail
        return dict(self.asides)

    async def put(self, aside: Aside) -> None:
        if self.fail:
            raise self.fail
        self.asides.setdefault(aside.partition, aside)

    async def remembered(self, partition: int) -> Remembered:
        if self.fail:
            raise self.fail
        placed = [key for key in await self.ordered(partition, 0) if key.offset is not None]
        last = max(placed, key=lambda key: key.offset or 0, default=None)
        return Remembered(
            Noted(last.offset or 0, last.transition) if last else None, self.sessions.get(partition, 0), self.states.get(partition, 0)
        )

    async def reached(self, ends: Mapping[int, int]) -> None:
        if self.fail:
            raise self.fail
        self.sessions |= ends

    async def ordered(self, partition: int, since_us: int) -> Sequence[OrderKey]:
        return [key for key in self.directory.performed if key.partition == partition]

    async def repaired(self, partition: int) -> None:
        self.asides.pop(partition, None)
        self.sessions.pop(partition, None)
        self.directory.performed = {
            replace(key, offset=None) if key.partition == partition else key: orders for key, orders in self.directory.performed.items()
        }


class PlainOpener:
    """Boxes are not sealed here."""

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        return sealed.box

    async def mark(self, epoch: str, *parts: bytes) -> str:
        return hashlib.sha256(repr((epoch, parts)).encode()).hexdigest()[:22]


@dataclass
class FixedPlanner:
    """Plans from a table of flows; `refusals` refuses some."""

    flows: Mapping[str, Sequence[PlannedStage]]
    refusals: dict[str, PlanRefused] = field(default_factory=dict)
    designations: dict[str, str] = field(default_factory=dict)
    asked: list[PlanRequested] = field(default_factory=list)

    async def plan(self, question: PlanRequested) -> PlanMade | PlanRefused:
        self.asked.append(question)
        if question.flow in self.refusals:
            return self.refusals[question.flow].model_copy(update={"request": question.request, "digest": question.digest})
        ids = {"request": question.request, "session": question.session, "run": question.run, "digest": question.digest}
        if question.flow not in self.flows:
            return PlanRefused.model_validate({**ids, "reason": "unknown_flow"})
        facts = flow(question.flow, designation=self.designations.get(question.flow, "authentication"))
        plan = Plan(flow=facts, definition="h", brand=BRAND, stages=tuple(self.flows[question.flow]))
        return PlanMade.model_validate({**ids, "plan": plan.model_dump()})

    async def locate(self, question: FlowRequested) -> FlowLocated:
        return FlowLocated(request=question.request, session=question.session, digest=question.digest, slug="login")


BRAND = BrandFacts(pk="b", domain="d", title="t")


def flow(slug: str, **changes: Any) -> FlowFacts:
    return FlowFacts(pk=slug, slug=slug, name=slug, title=f"{slug} %(user)s", designation="authentication").model_copy(update=changes)


@dataclass
class FixedPolicy:
    """Verdicts by binding; `pass` for all others."""

    verdicts: dict[str, str] = field(default_factory=dict)
    fail: Exception | None = None
    asked: list[VerdictRequested] = field(default_factory=list)

    async def decide(self, question: VerdictRequested) -> VerdictReached:
        if self.fail:
            raise self.fail
        self.asked.append(question)
        outcome = self.verdicts.get(question.guard.target, "pass")
        ids = {"request": question.request, "session": question.session, "run": question.run, "digest": question.digest}
        return VerdictReached.model_validate({**ids, "outcome": outcome})


@dataclass
class FixedRetirements:
    """Flows whose runs have to end."""

    flows: set[str] = field(default_factory=set)
    fail: Exception | None = None

    def is_retired(self, flow: str, version: int) -> bool:
        if self.fail:
            raise self.fail
        return flow in self.flows


@dataclass
class Browser:
    """What an edge keeps for a browser: the session's cookie, the step cookie, the login. It speaks as a client of the API does,
    or, with `api` False, as pages do."""

    world: "World"
    session: str = ""
    rotation: int = 0
    login: LoginClaims | None = None
    shown: dict[str, Shown] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    made_us: int = 0
    api: bool = True

    async def get(self, slug: str = "login", **changes: Any) -> StepReplied:
        return await self.step("start", slug, None, **changes)

    async def post(self, body: Any, slug: str = "login", **changes: Any) -> StepReplied:
        return await self.step("answer", slug, body, **changes)

    async def step(self, kind: str, slug: str, body: Any, **changes: Any) -> StepReplied:
        step = self.compose(kind, slug, body, **changes)
        reply = await self.world.ask(step)
        self.take(step, reply)
        return reply

    def compose(self, kind: str, slug: str, body: Any, **changes: Any) -> StepRequested:
        now = self.world.clock.now_us()
        session, made_us = (self.session, self.made_us) if self.session else (new_session_id(3), now)
        page = self.pages.get(slug) if kind == "answer" else None
        sealed = None if body is None else Sealed(epoch="e", box=json.dumps(body).encode())
        step = StepRequested.model_validate(
            {
                "command": random_id(), "kind": kind, "session": session, "made_us": made_us, "rotation": self.rotation, "flow": slug,
                "run": random_id(), "shown": self.shown.get(slug) and self.shown[slug].model_dump(), "page": page and page.model_dump(),
                "api": self.api, "sealed": sealed and sealed.model_dump(),
                "login": self.login and self.login.model_dump(), "received_us": now, "deadline_us": now + 15_000_000,
                "reply_partition": 0, "edge": "edge", "address": "192.0.2.1",
            }
        )  # fmt: skip
        return step.model_copy(update=changes)

    def take(self, step: StepRequested, reply: StepReplied) -> None:
        if reply.logged_out:
            self.login = None
        if reply.session_over:
            self.session, self.rotation, self.login = "", 0, None
        elif reply.outcome in ("accepted", "current", "offered"):
            self.session, self.rotation, self.made_us = reply.session, reply.rotation, step.made_us
        if reply.run and reply.transition:
            self.shown[step.flow] = Shown(run=reply.run, transition=reply.transition, version=reply.version)
            self.pages.pop(step.flow, None)
        elif reply.run and reply.view and reply.view.kind == "challenge":
            self.shown.pop(step.flow, None)
            self.pages[step.flow] = Page(
                run=reply.run, login=step.login.login if step.login else "", binding=reply.binding,
                challenge=challenge_digest(reply.view), at_us=step.received_us, address=step.address, user_agent=step.user_agent,
            )  # fmt: skip
        if reply.login:
            self.login = reply.login

    def twin(self) -> "Browser":
        """A second tab: the same cookies at this moment."""
        return replace(self, shown=dict(self.shown), pages=dict(self.pages))


class World:
    """Use as `async with World() as world`."""

    def __init__(
        self, flows: Mapping[str, Sequence[PlannedStage]] | None = None, workers: int = 1, *, types: Registry | None = None, look_s: float = 5.0,
    ) -> None:  # fmt: skip
        self.look_s = look_s
        self.clock = FixedClock()
        self.types = types or registry()
        self.directory = FakeDirectory()
        self.planner = FixedPlanner(flows or {"login": LOGIN_STAGES})
        self.policy = FixedPolicy()
        self.retirements = FixedRetirements()
        self.cached_starts = CACHED_STARTS
        self.crowd = Crowd()
        self.set_aside = FakeSetAside(self.directory)
        self.watch: Watching = metrics
        self.opener: SealOpener = PlainOpener()
        self.workers: list[Worker] = []
        self._count = workers
        self._waiting: dict[str, asyncio.Future[StepReplied]] = {}

    async def __aenter__(self) -> Self:
        self.log = await opened()
        for _ in range(self._count):
            await self.add_worker()
        self._reader = asyncio.create_task(self._read_replies())
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            await worker.stop()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self.log.close()

    async def add_worker(self, wrap: Callable[[Any], Any] = lambda log: log, at_home: AtHome = lambda _: False) -> Worker:
        parts = Parts(
            log=wrap(self.log), directory=self.directory, opener=self.opener, cursor=self.cursor(),
            planner=self.planner, clock=self.clock, secret_key=SECRET, starts=Starts(self.cached_starts), crowd=self.crowd, set_aside=self.set_aside, elsewhere_s=30,
            watch=self.watch, ownership=Ownership(self.log, lambda: True), at_home=at_home, failed=lambda *_: None,
        )  # fmt: skip
        worker = Worker(parts, NoAsking(), DeadLetters(self.log, "executor", self.clock), self.look_s)  # type: ignore[arg-type]
        await worker.start()
        self.workers.append(worker)
        return worker

    def cursor(self) -> Cursor:
        return Cursor(self.types, self.planner, self.policy, self.retirements)

    def browser(self) -> Browser:
        return Browser(self)

    async def ask(self, step: StepRequested, timeout: float = 60) -> StepReplied:  # noqa: ASYNC109
        future = self._waiting.setdefault(step.command, asyncio.get_running_loop().create_future())
        await self.send(step)
        try:
            async with asyncio.timeout(timeout):
                return await future
        finally:
            self._waiting.pop(step.command, None)

    async def send(self, step: StepRequested) -> None:
        await self.write(topics.STEPS, step, step.session, step.command)

    async def write(self, topic: str, body: Contract, subject: str, ident: str, **place: Any) -> None:
        envelope = Envelope(ident, body.wire_type, body.wire_version, "test", subject, self.clock.now_us(), **place)
        headers, value = encode(envelope, body)
        await self.log.append(Message(topic, partition_of(subject), subject.encode(), value, headers))

    async def history(self, session: str) -> list[Received[Any]]:
        """Every record of the session's topic about it, accepted or not."""
        place = TopicPartition(topics.SESSIONS, partition_of(session))
        found = []
        async for batch in self.log.read(place, *await self.log.bounds(place)):
            found += [SESSIONS_CODEC.decode(record) for record in batch if record.key == session.encode()]
        return found

    async def _read_replies(self) -> None:
        async for batch in self.log.tail(topics.REPLIES, {0: 0}):
            for record in batch:
                reply = CODEC.decode(record).body
                assert isinstance(reply, StepReplied)
                waiting = self._waiting.get(reply.command)
                if waiting and not waiting.done():
                    waiting.set_result(reply)


class NoAsking:
    """Nobody asks over topics here: the planner and policy of this world answer at once."""

    def settle(self, record: object) -> None:
        """Nothing to settle."""
