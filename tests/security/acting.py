"""Who acts on the records of each topic, as the real part of the product that does, and what can be seen of its acting.

Each of these reads a log as its process holds it on Kafka; `said(n)` is a record about a thing called n, `acted_on` the things
that the reader believed.
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, suppress
from typing import Any, ClassVar

from services.executor.common.ports import Remembered
from services.executor.directory.tokens import digest_of
from services.executor.edge.replies import Replies
from services.executor.edge.revocations import RevocationTail
from services.executor.edge.sealing_keys import SealingKeys
from services.executor.edge.user_facts import UserFactsCache
from services.executor.sessions.asking import Asking
from services.executor.sessions.journal import Journal
from services.executor.sessions.retirements import Retirements
from services.executor.sessions.states import SessionStates
from services.executor.sessions.takeover import take_over
from services.policy.bootstrap import build as build_policy
from services.policy.settings import Settings as PolicySettings
from shared.contracts import topics
from shared.contracts.codec import encode
from shared.contracts.definitions import BodyPublished, BrandBody, ObjectRemoved, PointerMoved, body_key, content_hash, pointer_key
from shared.contracts.directory import KEY_OPEN_US, KEY_SEAL_US, KeyPublished, LoginRevoked, TokenChanged, UserChanged
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadRecord
from shared.contracts.messages import MESSAGES
from shared.contracts.model import Contract
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.planner import PlanRefused
from shared.contracts.policy import VerdictReached
from shared.contracts.sessions import SessionAdvanced, SessionStarted
from shared.contracts.states import SessionState
from shared.contracts.steps import StepReplied
from shared.kernel.clock import SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, TopicPartition
from shared.messaging.offsets import LowWater
from shared.messaging.projection import Projection
from shared.messaging.proved import ProvedLog
from shared.web.token_projection import TokenProjection
from sluice.tail.entries import UNREADABLE, Entries
from tests.contract.golden_files import example_of
from tests.integration.planner.support import running
from tests.signing import as_service, signing
from tests.unit.executor.world import World
from tests.unit.planner.support import bound, flow, plan_request, stage
from tests.unit.policy.questions import question

CLOCK = SystemClock()
MINUTE_US = 60_000_000
THINGS = 20
STAGE = stage("a")
Things = set[int]


def session(n: int) -> str:
    return f"03.{'A' * 19}{n:03}"


def message(topic: str, body: Contract, subject: str, partition: int, **place: Any) -> Message:
    headers, value = encode(Envelope(f"id-{subject}", body.wire_type, body.wire_version, "test", subject, CLOCK.now_us(), **place), body)
    return Message(topic, partition, subject.encode(), value, headers)


def alice(number: int) -> UserFacts:
    return UserFacts(pk=number, uuid="u", uid="uid", username="a", name="a", email="", is_active=True, is_superuser=False)


class Acting(ABC):
    """One topic's reader over `self.bare`, into which anybody may write."""

    topic: ClassVar[str]
    partition = 0

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def start(self) -> None:
        self.bare = await EmbeddedLog.open(topics.TOPICS)
        self.stack.push_async_callback(self.bare.close)
        await self.read(as_service(self.bare, "executor"))

    async def follow(self, part: Any) -> None:
        await part.start()
        self.stack.push_async_callback(part.stop)

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(as_service(self.bare, "executor"), "executor", CLOCK)

    async def read(self, log: ProvedLog) -> None:  # noqa: B027 -- some read only when they are asked
        """Begin to read."""

    async def headers(self, topic: str, partition: int) -> set[tuple[str, bytes]]:
        """Of all records there."""
        place = TopicPartition(topic, partition)
        return {one async for batch in self.bare.read(place, 0, 1000) for record in batch for one in record.headers}

    @abstractmethod
    def said(self, n: int) -> Message: ...

    @abstractmethod
    async def acted_on(self) -> Things: ...


class OnDefinitions(Acting):
    topic = topics.DEFINITIONS

    async def read(self, log: ProvedLog) -> None:
        self.held = Definitions()
        await self.follow(Projection(log, self.topic, self.held.apply, self.letters, CLOCK))
        for n in range(THINGS):
            name, content = self._body(n)
            published = BodyPublished(hash=name, kind="brand", content=content)
            await log._log.append(message(self.topic, published, body_key(name), 0))

    def _body(self, n: int) -> tuple[str, dict[str, Any]]:
        content = BrandBody(pk=f"b{n}", domain=f"{n}.example").model_dump()
        return content_hash("brand", content), content

    def said(self, n: int) -> Message:
        name, _ = self._body(n)
        pointer = PointerMoved(kind="brand", pk=f"b{n}", name=f"{n}.example", version=1, body=name, needs=(name,))
        return message(self.topic, pointer, pointer_key("brand", f"b{n}"), 0)

    async def acted_on(self) -> Things:
        return {int(brand.pk[1:]) for brand in self.held.brands()}


class OnRetirements(OnDefinitions):
    """A worker that ends the runs of flows that were retired."""

    async def read(self, log: ProvedLog) -> None:
        self.retirements = Retirements(log, self.letters, CLOCK)
        await self.follow(self.retirements)

    def said(self, n: int) -> Message:
        return message(self.topic, ObjectRemoved(kind="flow", pk=f"{n}", version=2), pointer_key("flow", f"{n}"), 0)

    async def acted_on(self) -> Things:
        return {n for n in range(THINGS) if self.retirements.ready and self.retirements.is_retired(f"{n}", 1)}


class OnTokens(Acting):
    topic = topics.TOKENS

    async def read(self, log: ProvedLog) -> None:
        self.tokens = TokenProjection(log, self.letters, CLOCK)
        await self.follow(self.tokens)

    def said(self, n: int) -> Message:
        token = TokenChanged(hash=digest_of(f"token {n}").hex(), user=n, username="root", is_superuser=True, is_active=True)
        return message(self.topic, token, token.hash, 0)

    async def acted_on(self) -> Things:
        if not self.tokens.ready:
            return set()
        return {n for n in range(THINGS) if self.tokens.user_of(f"token {n}") is not None}


class OnKeys(Acting):
    topic = topics.KEYS

    async def read(self, log: ProvedLog) -> None:
        self.keys = SealingKeys(log, self.letters, CLOCK)
        await self.follow(self.keys)

    def said(self, n: int) -> Message:
        now = CLOCK.now_us()
        key = KeyPublished(epoch=f"{n}", public=b"p" * 32, made_us=now, seal_until_us=now + KEY_SEAL_US, open_until_us=now + KEY_OPEN_US)
        return message(self.topic, key, key.epoch, 0)

    async def acted_on(self) -> Things:
        return {int(epoch) for epoch in self.keys._keys}


class OnRevocations(Acting):
    topic = topics.REVOCATIONS

    async def read(self, log: ProvedLog) -> None:
        self.revocations = RevocationTail(log, self.letters, CLOCK)
        await self.follow(self.revocations)

    def said(self, n: int) -> Message:
        return message(self.topic, LoginRevoked(what="user", user=n, epoch=5, at_us=1), f"{n}", 0)

    async def acted_on(self) -> Things:
        claims = LoginClaims.model_validate(
            {
                "login": "l",
                "user": 0,
                "uid": "u",
                "username": "a",
                "methods": (),
                "at_us": 0,
                "expires_us": None,
                "persistent": False,
                "epoch": 1,
            }
        )
        return {n for n in range(THINGS) if self.revocations.is_revoked(claims.model_copy(update={"user": n}))}


class NobodyLooksUp:
    """The edge's directory: every user is there."""

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        return True

    async def facts(self, user: int) -> UserFacts | None:
        return alice(user)


class OnDirectoryEvents(Acting):
    """An edge that keeps users' facts drops those of whom it hears."""

    topic = topics.DIRECTORY_EVENTS

    async def read(self, log: ProvedLog) -> None:
        self.facts = UserFactsCache(log, NobodyLooksUp(), CLOCK, 1000)
        await self.follow(self.facts)
        for n in range(THINGS):
            await self.facts.of(n)

    def said(self, n: int) -> Message:
        return message(self.topic, UserChanged(user=n, what="disabled", at_us=1), f"{n}", 0)

    async def acted_on(self) -> Things:
        return set(range(THINGS)) - set(self.facts._known)


class OnReplies(Acting):
    topic = topics.REPLIES

    async def read(self, log: ProvedLog) -> None:
        replies = Replies(log, "edge", 0, THINGS)
        await self.follow(replies)
        self.waiting = [self.stack.enter_context(replies.expect(f"c{n}")) for n in range(THINGS)]

    def said(self, n: int) -> Message:
        reply = StepReplied(command=f"c{n}", edge="edge", session=session(n), outcome="current")
        return message(self.topic, reply, "0", 0, causation=f"c{n}")

    async def acted_on(self) -> Things:
        return {n for n, waiting in enumerate(self.waiting) if waiting.done()}


class OnSteps(Acting):
    """A worker replies to a step, whatever it makes of it."""

    topic = topics.STEPS
    partition = 3

    async def start(self) -> None:
        with signing(True):
            self.world = await self.stack.enter_async_context(World())
        self.bare = bare_of(self.world.log)

    def said(self, n: int) -> Message:
        browser = self.world.browser()
        browser.session = session(n)
        step = browser.compose("start", "login", None, fresh=True)
        return message(self.topic, step, step.session, 3)

    async def acted_on(self) -> Things:
        return {n for n in range(THINGS) if ("ce_correlationid", session(n).encode()) in await self.headers(topics.REPLIES, 0)}


class _AtTakeover(Acting):
    """What a new owner of the partition believes of what stands there."""

    partition = 3

    async def acted_on(self) -> Things:
        states = SessionStates()
        place = TopicPartition(topics.SESSIONS, 3)
        log = as_service(self.bare, "executor")
        journal = Journal(log, place, states, lambda *_: None, LowWater())
        await take_over(log, 3, None, Remembered(), states, journal, self.letters, CLOCK.now_us())
        return {n for n in range(THINGS) if states.get(session(n)).version > 0}


class OnSessions(_AtTakeover):
    topic = topics.SESSIONS

    def said(self, n: int) -> Message:
        body = SessionAdvanced(session=session(n), command="c", kind="start", at_us=CLOCK.now_us(), events=(SessionStarted(),))
        return message(self.topic, body, session(n), 3, subject_version=1)


class OnState(_AtTakeover):
    topic = topics.STATE

    def said(self, n: int) -> Message:
        return message(self.topic, SessionState(session=session(n), version=1, head="h", last_us=CLOCK.now_us()), session(n), 3)


class _OnAnswers(Acting):
    """A worker that waits for answers to a hundred questions."""

    partition = 3

    async def read(self, log: ProvedLog) -> None:
        self.asking = Asking(log, CLOCK)
        self.asked = [asyncio.create_task(self.ask(n)) for n in range(THINGS)]
        listening = asyncio.create_task(self._listen(log))
        self.stack.push_async_callback(ended, *self.asked, listening)
        await asyncio.sleep(0)

    async def _listen(self, log: ProvedLog) -> None:
        async for records in log.tail(self.topic, {3: 0}):
            for record in records:
                with suppress(BadRecord):  # the worker dead-letters it
                    self.asking.settle(record)

    @abstractmethod
    async def ask(self, n: int) -> object: ...

    async def acted_on(self) -> Things:
        return {n for n, task in enumerate(self.asked) if task.done()}


class OnPlans(_OnAnswers):
    topic = topics.PLANS

    async def ask(self, n: int) -> object:
        return await self.asking.plan(plan_request("f").model_copy(update={"request": f"r{n}", "session": session(n), "digest": "d"}))

    def said(self, n: int) -> Message:
        answer = PlanRefused(request=f"r{n}", session=session(n), run="r", digest="d", reason="empty")
        return message(self.topic, answer, session(n), 3, causation=f"r{n}")


class OnVerdicts(_OnAnswers):
    topic = topics.VERDICTS

    async def ask(self, n: int) -> object:
        return await self.asking.decide(question(request=f"r{n}", session=session(n)))

    def said(self, n: int) -> Message:
        asked = question(request=f"r{n}", session=session(n))
        answer = VerdictReached(request=f"r{n}", session=session(n), run=asked.run, digest=asked.digest, outcome="fail")
        return message(self.topic, answer, session(n), 3, causation=f"r{n}")


class OnPlanRequests(Acting):
    topic = topics.PLAN_REQUESTS
    partition = 3

    async def start(self) -> None:
        with signing(True):
            bench = await self.stack.enter_async_context(running(STAGE, flow("plain", bound("b1", STAGE))))
        self.bare = bare_of(bench.log)

    def said(self, n: int) -> Message:
        changed = {"request": f"r{n}", "session": session(n), "deadline_us": CLOCK.now_us() + MINUTE_US}
        return message(self.topic, plan_request("plain").model_copy(update=changed), session(n), 3)

    async def acted_on(self) -> Things:
        return {n for n in range(THINGS) if ("ce_subject", session(n).encode()) in await self.headers(topics.PLANS, 3)}


class OnPolicyRequests(Acting):
    topic = topics.POLICY_REQUESTS
    partition = 3

    async def read(self, log: ProvedLog) -> None:
        service = await build_policy(PolicySettings(policy_workers=1), as_service(self.bare, "policy"), CLOCK)
        await self.follow(service)

    def said(self, n: int) -> Message:
        asked = question(request=f"r{n}", session=session(n), deadline_us=CLOCK.now_us() + MINUTE_US)
        return message(self.topic, asked, session(n), 3)

    async def acted_on(self) -> Things:
        return {n for n in range(THINGS) if ("ce_subject", session(n).encode()) in await self.headers(topics.VERDICTS, 3)}


class _Shown(Acting):
    """Nobody acts on these; who looks at them with `sluice tail` is told which are not what they say."""

    def said(self, n: int) -> Message:
        return message(self.topic, example_of(MESSAGES[self.topic][0]), f"{n}", 0)

    async def acted_on(self) -> Things:
        place, entries = TopicPartition(self.topic, 0), Entries(self.topic)
        log = as_service(self.bare, "executor")
        shown = [entry async for batch in log.read(place, 0, 1000) for record in batch for entry in entries.of(record)]
        return {int(entry.record.key or b"") for entry in shown if entry.name != UNREADABLE}


class OnCatalogEvents(_Shown):
    topic = topics.CATALOG_EVENTS


class OnDeadLetters(_Shown):
    topic = topics.DEAD_LETTERS


def bare_of(log: object) -> EmbeddedLog:
    assert isinstance(log, ProvedLog)
    assert isinstance(log._log, EmbeddedLog)
    return log._log


async def ended(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


ALL: tuple[type[Acting], ...] = (
    OnDefinitions, OnRetirements, OnTokens, OnKeys, OnRevocations, OnDirectoryEvents, OnReplies, OnSteps, OnSessions, OnState, OnPlans, OnVerdicts,
    OnPlanRequests, OnPolicyRequests, OnCatalogEvents, OnDeadLetters,
)  # fmt: skip
