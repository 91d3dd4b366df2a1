"""What the planner's tests say their sentences with: definitions, visitors, and a policy service that follows a script."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from services.planner.domain.composition import Composer
from shared.contracts.codec import encode
from shared.contracts.definitions import (
    BodyPublished,
    BrandBody,
    Designation,
    FlowBody,
    FlowFacts,
    Guard,
    Kind,
    PointerMoved,
    PolicyBinding,
    StageBinding,
    StageBody,
    body_key,
    content_hash,
    pointer_key,
)
from shared.contracts.envelope import Envelope
from shared.contracts.model import Contract, Value
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import FlowLocated, FlowRequested, PlanMade, PlanRefused, PlanRequested, location_digest, plan_digest
from shared.contracts.policy import BindingResult, Outcome, VerdictReached, VerdictRequested, facts_digest
from shared.contracts.topics import DEFINITIONS
from shared.flows.registry import registry
from shared.kernel.clock import FixedClock
from shared.kernel.errors import Unavailable
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Record

SESSION = "03.AAAAAAAAAAAAAAAAAAAAAA"
CLOCK = FixedClock()
KINDS: dict[type[Value], Kind] = {FlowBody: "flow", StageBody: "stage", BrandBody: "brand"}


def user(name: str = "alice", *, superuser: bool = False) -> UserFacts:
    return UserFacts(pk=7, uuid="u", uid="uid", username=name, name=name, email="", is_active=True, is_superuser=superuser)


def visitor(who: UserFacts | None = None, host: str = "login.example") -> Visitor:
    return Visitor(user=who, host=host, address="192.0.2.1")


def guard(target: str, *policies: str) -> Guard:
    return Guard(target=target, bindings=tuple(PolicyBinding(pk=f"{target}-{one}", order=0, policy=one) for one in policies))


def stage(pk: str, kind: str = "dummy", **config: Any) -> StageBody:
    return StageBody(pk=pk, name=f"stage {pk}", type=kind, config=config)


def bound(pk: str, body: StageBody, order: int = 0, *policies: str, **switches: Any) -> StageBinding:
    return StageBinding(pk=pk, order=order, stage=hash_of(body), guard=guard(pk, *policies), **switches)


def flow(slug: str, *bindings: StageBinding, policies: tuple[str, ...] = (), **facts: Any) -> FlowBody:
    given: dict[str, Any] = {"designation": "authentication", "name": slug, "title": slug, **facts}
    return FlowBody(facts=FlowFacts(pk=f"pk-{slug}", slug=slug, **given), guard=guard(f"pk-{slug}", *policies), bindings=bindings)


def brand(domain: str, **fields: Any) -> BrandBody:
    return BrandBody(pk=f"brand-{domain}", domain=domain, **fields)


def hash_of(body: Value) -> str:
    return content_hash(KINDS[type(body)], body.model_dump())


def records(*bodies: FlowBody | StageBody | BrandBody, version: int = 1) -> Iterator[Record]:
    """What the catalog writes of these objects: bodies, then pointers."""
    for offset, (subject, message) in enumerate(_messages(bodies, version)):
        envelope = Envelope(f"d{offset}", message.wire_type, message.wire_version, "catalog", subject, 0)
        headers, value = encode(envelope, message)
        yield Record(DEFINITIONS, 0, offset, 0, subject.encode(), value, headers)


def _messages(bodies: tuple[FlowBody | StageBody | BrandBody, ...], version: int) -> Iterator[tuple[str, Contract]]:
    for body in bodies:
        yield body_key(hash_of(body)), BodyPublished(hash=hash_of(body), kind=KINDS[type(body)], content=body.model_dump())
    for body in bodies:
        kind, content = KINDS[type(body)], hash_of(body)
        needs = (content, *(one.stage for one in body.bindings)) if isinstance(body, FlowBody) else (content,)
        pk, name = _called(body)
        yield pointer_key(kind, pk), PointerMoved(kind=kind, pk=pk, name=name, version=version, body=content, needs=needs)


def _called(body: FlowBody | StageBody | BrandBody) -> tuple[str, str]:
    match body:
        case FlowBody():
            return body.facts.pk, body.facts.slug
        case StageBody():
            return body.pk, body.name
        case BrandBody():
            return body.pk, body.domain


@dataclass
class Published:
    """The port `Catalog` over definitions that a test gives; `later` come in when somebody waits."""

    definitions: Definitions = field(default_factory=Definitions)
    later: tuple[Record, ...] = ()
    waited: list[float] = field(default_factory=list)

    def add(self, *bodies: FlowBody | StageBody | BrandBody) -> "Published":
        for record in records(*bodies):
            self.definitions.apply(record)
        return self

    async def changed(self, timeout_s: float) -> bool:
        self.waited.append(timeout_s)
        for record in self.later:
            self.definitions.apply(record)
        came, self.later = bool(self.later), ()
        return came


@dataclass
class ScriptedPolicy:
    """The port `Policy`: outcomes by policy, `pass` for others; `away` answers nothing."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    messages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    away: bool = False
    asked: list[VerdictRequested] = field(default_factory=list)

    async def verdict(self, question: VerdictRequested) -> VerdictReached:
        self.asked.append(question)
        if self.away:
            raise Unavailable("policy is away")
        return self.reached(question)

    def reached(self, question: VerdictRequested) -> VerdictReached:
        assert question.digest == facts_digest(question.guard, question.facts)
        policies = [one.policy or "" for one in question.guard.bindings]
        outcomes: list[Outcome] = [self.outcomes.get(one, "pass") for one in policies]
        worst: Outcome = "error" if "error" in outcomes else "fail" if "fail" in outcomes else "pass"
        return VerdictReached(
            request=question.request, session=question.session, run=question.run, digest=question.digest, outcome=worst,
            messages=tuple(text for one in policies for text in self.messages.get(one, ())),
            results=tuple(
                BindingResult(binding=bound.pk, outcome=outcome, reason=self.reasons.get(policy, ""))
                for bound, policy, outcome in zip(question.guard.bindings, policies, outcomes, strict=True)
            ),
        )  # fmt: skip


def plan_request(
    slug: str, who: Visitor | None = None, context: dict[str, Any] | None = None, obligations: tuple[str, ...] = (),
    pending: UserFacts | None = None,
) -> PlanRequested:  # fmt: skip
    who, context = who or visitor(), context or {}
    return PlanRequested(
        request="r1", session=SESSION, run="run1", flow=slug, visitor=who, pending_user=pending, context=context, obligations=obligations,
        digest=plan_digest(slug, who, pending, context, obligations), deadline_us=CLOCK.now_us() + 15_000_000,
    )  # fmt: skip


async def planned(catalog: Published, asked: PlanRequested, policy: ScriptedPolicy | None = None) -> PlanMade | PlanRefused:
    planner = Planner(catalog, Composer(catalog.definitions, registry().stages), CLOCK)
    return await planner.plan(asked, policy or ScriptedPolicy())


def location(who: Visitor, deadline_us: int, designation: Designation | None = None, flow: str = "") -> FlowRequested:
    return FlowRequested(
        request="r1", session=SESSION, designation=designation, flow=flow, visitor=who, digest=location_digest(designation, flow, who),
        deadline_us=deadline_us,
    )  # fmt: skip


async def located(catalog: Published, policy: ScriptedPolicy | None = None, host: str = "x.example", **asked: Any) -> FlowLocated:
    request = location(visitor(host=host), CLOCK.now_us() + 15_000_000, **asked)
    return await Locator(catalog, CLOCK).locate(request, policy or ScriptedPolicy())
