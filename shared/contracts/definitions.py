"""`catalog.definitions`: what administrators define, as bodies by content hash and pointers by object. Owned by catalog.

A reader takes a pointer only when it holds every body that the pointer needs, so it never sees half a change.
Keys: `body/<hash>` and `pointer/<kind>/<pk>`; a pointer's tombstone says that the object is gone.
"""

import hashlib
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts import wire
from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, Plain, ShortText, Text, Value

Kind = Literal["flow", "stage", "policy", "brand"]
Mode = Literal["any", "all"]
Designation = Literal["authentication", "authorization", "invalidation", "enrollment", "unenrollment", "recovery", "stage_configuration"]
Requirement = Literal[
    "none", "require_authenticated", "require_unauthenticated", "require_superuser", "require_redirect", "require_outpost", "require_token"
]
DeniedAction = Literal["message_continue", "message", "continue"]
InvalidResponseAction = Literal["retry", "restart", "restart_with_context"]
Order = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class PolicyBinding(Value):
    """One binding of a policy, a group or a user to a flow or a stage binding. Disabled ones are not published.

    `policy` is the content hash of the policy's body (a run is pinned to it); exactly one of policy, group, user is set.
    """

    pk: ShortText
    order: Order
    negate: bool = False
    timeout_s: Count = 30
    failure_result: bool = False
    policy: ShortText | None = None
    policy_name: ShortText = ""
    group: ShortText | None = None
    user: Count | None = None


class Guard(Value):
    """The policy bindings of one target, in order, and how they combine. Without bindings it passes, unasked."""

    target: ShortText
    mode: Mode = "any"
    bindings: tuple[PolicyBinding, ...] = ()


class FlowFacts(Value):
    """A flow, without its stages."""

    pk: ShortText
    slug: ShortText
    name: Text
    title: Text
    designation: Designation
    authentication: Requirement = "none"
    denied_action: DeniedAction = "message_continue"
    layout: ShortText = "stacked"
    background: Text = ""
    compatibility_mode: bool = False


class StageBinding(Value):
    """A stage's place in a flow: `stage` is the content hash of the stage's body."""

    pk: ShortText
    order: Order
    stage: ShortText
    evaluate_on_plan: bool = False
    re_evaluate_policies: bool = True
    invalid_response_action: InvalidResponseAction = "retry"
    guard: Guard


class FlowBody(Value):
    """A flow with everything that hangs on it."""

    facts: FlowFacts
    guard: Guard
    bindings: tuple[StageBinding, ...] = ()


class StageBody(Value):
    """A stage: its type's name (`password`) and its configuration as that type's model dumps it (JSON mode)."""

    pk: ShortText
    name: ShortText
    type: ShortText
    config: Plain


class PolicyBody(Value):
    """A policy: its type's name (`expression`) and its configuration as that type's model dumps it (JSON mode)."""

    pk: ShortText
    name: ShortText
    type: ShortText
    execution_logging: bool = False
    config: Plain


class BrandBody(Value):
    """A brand: which flows a host's visitors get. Flow fields hold a flow's pk."""

    pk: ShortText
    domain: ShortText
    default: bool = False
    branding_title: Text = "authentik"
    branding_logo: Text = "/static/dist/assets/icons/icon_left_brand.svg"
    branding_favicon: Text = "/static/dist/assets/icons/icon.png"
    flow_authentication: ShortText | None = None
    flow_invalidation: ShortText | None = None
    flow_recovery: ShortText | None = None
    flow_unenrollment: ShortText | None = None
    flow_user_settings: ShortText | None = None
    flow_device_code: ShortText | None = None
    attributes: Plain = {}


Body = FlowBody | StageBody | PolicyBody | BrandBody
BODIES: dict[Kind, type[Value]] = {"flow": FlowBody, "stage": StageBody, "policy": PolicyBody, "brand": BrandBody}


def kind_of(body: Body) -> Kind:
    """Which kind of object this is the body of."""
    return next(kind for kind, model in BODIES.items() if isinstance(body, model))


class BodyPublished(Contract):
    """A body, under its content hash. `content` is the kind's model, dumped."""

    wire_type: ClassVar[str] = "catalog.body.published"
    proves_itself: ClassVar[bool] = True
    hash: ShortText
    kind: Kind
    content: Plain


class PointerMoved(Contract):
    """An object's current version. `name` is the slug of a flow, the domain of a brand, else the name.

    `runs_from`: versions before this one are retired: a run that was planned from one ends at its next step (architecture §4.11).
    """

    wire_type: ClassVar[str] = "catalog.pointer.moved"
    kind: Kind
    pk: ShortText
    name: ShortText
    version: Count
    body: ShortText
    needs: tuple[ShortText, ...]
    runs_from: Count = 0


class ObjectRemoved(Contract):
    """An object is gone. A tombstone follows once compaction may forget it."""

    wire_type: ClassVar[str] = "catalog.pointer.removed"
    kind: Kind
    pk: ShortText
    version: Count


CODEC = Codec((BodyPublished, PointerMoved, ObjectRemoved))


def content_hash(kind: Kind, content: Plain) -> str:
    """The hash that names a body: SHA-256 over its canonical bytes, in hex."""
    return hashlib.sha256(kind.encode() + b"\0" + wire.pack(content)).hexdigest()


def body_key(content: str) -> str:
    """Record key (and envelope subject) of a body."""
    return f"body/{content}"


def pointer_key(kind: Kind, pk: str) -> str:
    """Record key (and envelope subject) of a pointer."""
    return f"pointer/{kind}/{pk}"
