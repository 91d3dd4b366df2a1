"""`planner.requests` and `planner.plans`: from (designation or flow, visitor, context) to a plan. Owned by planner."""

import hashlib
from typing import Annotated, Any, ClassVar, Literal, assert_never

from pydantic import Field

from shared.contracts import wire
from shared.contracts.codec import Codec
from shared.contracts.definitions import Designation, FlowFacts, Guard, InvalidResponseAction, StageBody
from shared.contracts.model import Contract, Count, Micros, Plain, ShortText, Text, Value
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.policy import VerdictReached

MAX_STAGES = 64
Refusal = Literal["unknown_flow", "not_applicable", "empty", "error", "too_long"]


class PlannedStage(Value):
    """One stage of a plan with its configuration. `guard` is asked again when the stage is reached, if `re_evaluate`.

    `references` are the stages that the configuration refers to, by pk (`shared.flows.references`), so that a run needs no
    definitions beside its plan.
    `verdict` is the request of the verdict, among those that come with the plan, by which this stage is in it; "" if its
    guard was not asked while planning.
    """

    binding: ShortText
    stage: ShortText
    name: ShortText
    type: ShortText
    config: Plain
    re_evaluate: bool = True
    invalid_response_action: InvalidResponseAction = "retry"
    guard: Guard
    references: dict[str, StageBody] = {}
    verdict: ShortText = ""


class BrandFacts(Value):
    """What a page and an expression may know of the brand that the host matched."""

    pk: ShortText
    domain: ShortText
    title: Text
    flow_recovery: ShortText | None = None


class Plan(Value):
    """The ordered stages of one run, pinned: publishing something new never touches a run in progress.

    `definition` is the content hash of the flow's body, `version` that of the pointer to it. `links` are slugs of the flows that stages of this plan link to,
    by flow pk (enrollment, recovery).
    """

    flow: FlowFacts
    definition: ShortText
    version: Count = 0
    brand: BrandFacts
    stages: Annotated[tuple[PlannedStage, ...], Field(max_length=MAX_STAGES)]
    links: dict[str, ShortText] = {}


class PlanRequested(Contract):
    """A question to the planner: plan this flow for this visitor.

    `pending_user` is whom the run is about, if that was said; `context` may hold `is_redirected`. `obligations` are binding pks of stages that guarded this
    subject before and may not be planned away (architecture §4.9). `digest` is `plan_digest` of the rest: a reply counts
    only for the same one (architecture §4.7).
    """

    wire_type: ClassVar[str] = "planner.plan.requested"
    request: ShortText
    session: ShortText
    run: ShortText
    flow: ShortText
    visitor: Visitor
    pending_user: UserFacts | None = None
    context: Plain = {}
    obligations: tuple[ShortText, ...] = ()
    digest: ShortText
    deadline_us: Micros


class PlanMade(Contract):
    """A plan, with the verdicts that shaped it."""

    wire_type: ClassVar[str] = "planner.plan.made"
    request: ShortText
    session: ShortText
    run: ShortText
    digest: ShortText
    plan: Plan
    verdicts: tuple[VerdictReached, ...] = ()


class PlanRefused(Contract):
    """No plan, and why. `flow` and `brand` are absent only if the flow is unknown; `messages` are for the visitor."""

    wire_type: ClassVar[str] = "planner.plan.refused"
    request: ShortText
    session: ShortText
    run: ShortText
    digest: ShortText
    reason: Refusal
    messages: tuple[Text, ...] = ()
    flow: FlowFacts | None = None
    brand: BrandFacts | None = None
    verdicts: tuple[VerdictReached, ...] = ()


class FlowRequested(Contract):
    """A question to the planner: which flow has this designation here? Or: is there a flow of this slug (`flow` set)?

    `digest` is `location_digest` of the rest.
    """

    wire_type: ClassVar[str] = "planner.flow.requested"
    request: ShortText
    session: ShortText
    designation: Designation | None = None
    flow: ShortText = ""
    visitor: Visitor
    digest: ShortText
    deadline_us: Micros


class FlowLocated(Contract):
    """The flow that was asked for; `slug` None if there is none."""

    wire_type: ClassVar[str] = "planner.flow.located"
    request: ShortText
    session: ShortText
    digest: ShortText
    slug: ShortText | None
    brand: BrandFacts | None = None
    verdicts: tuple[VerdictReached, ...] = ()


def plan_digest(flow: str, visitor: Visitor, pending_user: UserFacts | None, context: Plain, obligations: tuple[str, ...]) -> str:
    """Which plan is asked for: SHA-256 in hex over the canonical bytes of what it may depend on."""
    return _digest(flow, visitor.model_dump(), pending_user and pending_user.model_dump(), context, obligations)


def location_digest(designation: Designation | None, flow: str, visitor: Visitor) -> str:
    """Which flow is asked for, likewise."""
    return _digest(designation, flow, visitor.model_dump())


def digest_of(asked: PlanRequested | FlowRequested) -> str:
    """The digest that this question has to carry."""
    match asked:
        case PlanRequested():
            return plan_digest(asked.flow, asked.visitor, asked.pending_user, asked.context, asked.obligations)
        case FlowRequested():
            return location_digest(asked.designation, asked.flow, asked.visitor)
        case _:
            assert_never(asked)


def _digest(*asked: Any) -> str:
    return hashlib.sha256(wire.pack(asked)).hexdigest()


CODEC = Codec((PlanRequested, PlanMade, PlanRefused, FlowRequested, FlowLocated))
