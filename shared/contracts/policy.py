"""`policy.requests` and `policy.verdicts`: "does this visitor pass these bindings?" Owned by policy."""

import hashlib
from typing import Annotated, ClassVar, Literal

from shared.contracts import wire
from shared.contracts.codec import Codec
from shared.contracts.definitions import Guard
from shared.contracts.model import Contract, Micros, Plain, ShortText, Text, Value, open_enum
from shared.contracts.people import UserFacts, Visitor

Outcome = Literal["pass", "fail", "error"]
"""A verdict's outcome. An error is not false: it may keep a stage or stop a flow, and removes nothing (architecture §4.9)."""
Purpose = Literal["flow", "plan", "reach"]
"""What the guard guards: the whole flow, a stage while planning, a stage about to be shown."""


class Facts(Value):
    """Everything that a decision may depend on; nothing else is looked up.

    `context` is the plan's context; `planned` says whether there is a plan (then expressions see `flow_plan`).
    """

    visitor: Visitor
    pending_user: UserFacts | None = None
    context: Plain = {}
    planned: bool = False

    @property
    def user(self) -> UserFacts | None:
        """Who the decision is about: the pending user, else the visitor (docs/compat.md, Plans)."""
        return self.pending_user or self.visitor.user


class VerdictRequested(Contract):
    """A question. `digest` is `facts_digest` of what is asked: a verdict counts only for the same digest."""

    wire_type: ClassVar[str] = "policy.verdict.requested"
    request: ShortText
    session: ShortText
    run: ShortText
    purpose: Purpose
    guard: Guard
    facts: Facts
    digest: ShortText
    deadline_us: Micros


class BindingResult(Value):
    """What one binding came to. `reason` explains an error; `duration_us` is the evaluation alone."""

    binding: ShortText
    outcome: Outcome
    messages: tuple[Text, ...] = ()
    reason: Annotated[
        ShortText,
        open_enum("", "timeout", "memory", "output", "crash", "exception", "syntax", "unknown_policy", "invalid_result", "unavailable"),
    ] = ""
    policy: ShortText | None = None
    name: ShortText = ""
    failure_result_used: bool = False
    duration_us: Micros = 0


class VerdictReached(Contract):
    """The answer to one question, with its reasons."""

    wire_type: ClassVar[str] = "policy.verdict.reached"
    request: ShortText
    session: ShortText
    run: ShortText
    digest: ShortText
    outcome: Outcome
    messages: tuple[Text, ...] = ()
    results: tuple[BindingResult, ...] = ()
    duration_us: Micros = 0


CODEC = Codec((VerdictRequested, VerdictReached))


def facts_digest(guard: Guard, facts: Facts) -> str:
    """SHA-256 in hex over the canonical bytes of guard and facts: which question was answered."""
    return hashlib.sha256(wire.pack([guard.model_dump(), facts.model_dump()])).hexdigest()
