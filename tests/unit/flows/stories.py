"""A stage's world in a test: given a run and what the directory knows, when it is shown or answered, then ..."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from shared.contracts.asks import Ask
from shared.contracts.definitions import FlowFacts, Guard
from shared.contracts.evidence import Evidence
from shared.contracts.model import Value
from shared.contracts.orders import Order
from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import BrandFacts, Plan, PlannedStage
from shared.flows.effects import Answer, SecretField
from shared.flows.evidence import Proof, ProofKind, Unfounded
from shared.flows.fields import Cleaned, clean
from shared.flows.orders import lack_of
from shared.flows.registry import registry
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Run

NOW_US = 1_700_000_000_000_000
R = TypeVar("R", bound=Value)

ALICE = UserFacts(
    pk=7,
    uuid="0000-7",
    uid="uid-alice",
    username="alice",
    name="Alice",
    email="alice@example.com",
    is_active=True,
    is_superuser=False,
    epoch=3,
)
NOBODY = UserFacts(pk=None, uuid="", uid="", username="nobody", name="", email="nobody", is_active=True, is_superuser=False)
LOGIN = LoginClaims(
    login="login-1",
    user=7,
    uid="uid-alice",
    username="alice",
    methods=("password",),
    at_us=NOW_US - 1,
    expires_us=None,
    persistent=False,
    epoch=3,
)


@dataclass
class FakeEffects:
    """Answers asks from a list, notes asks, secrets and orders."""

    results: list[Value] = field(default_factory=list)
    asked: list[tuple[Ask[Any], SecretField | None]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)

    async def ask(self, ask: Ask[R], secret: SecretField | None = None) -> R:
        self.asked.append((ask, secret))
        return cast("R", self.results.pop(0))

    def order(self, order: Order) -> None:
        if lack := lack_of(order, "00.s", 1):
            raise Unfounded(lack)
        self.orders.append(order)

    def new_id(self, purpose: str) -> str:
        return f"new-{purpose}"

    def now_us(self) -> int:
        return NOW_US


def a_run(stage: str, config: Mapping[str, Any] | None = None, **changes: Any) -> Run:
    """A run of an authentication flow that has come to this stage, by nobody in particular."""
    planned = PlannedStage(
        binding="binding-1", stage="stage-1", name="the stage", type=stage, config=dict(config or {}), guard=Guard(target="binding-1")
    )
    plan = Plan(
        flow=FlowFacts(pk="flow-1", slug="login", name="Login", title="Login", designation="authentication"),
        definition="hash",
        brand=BrandFacts(pk="brand-1", domain="login.example", title="Brand"),
        stages=(planned,),
    )
    run = Run(
        session="00.s",
        run="run-1",
        plan=plan,
        stage=planned,
        context={},
        visitor=Visitor(address="192.0.2.1", host="login.example"),
        login=None,
        query="",
        counters={},
        at_us=NOW_US,
        version=1,
    )
    return replace(run, **changes)


def proof_of(user: UserFacts, kind: ProofKind = "password", **changes: Any) -> Evidence:
    """Evidence of this run that authenticates this user, as the worker records it."""
    proof = Proof(kind, user)
    return Evidence(
        session="00.s", run="run-1", binding="binding-0", version=1, subject=user.uid, method=kind, at_us=NOW_US, proves=proof.kind,
        user=user.pk, epoch=user.epoch,
    ).model_copy(update=changes)  # fmt: skip


async def shown(run: Run, do: FakeEffects) -> Challenge | Passed | Denied:
    """When the stage is reached."""
    kind = registry().stages[run.stage.type]
    return await kind.challenge(run, kind.config.model_validate(run.stage.config), do)


async def answered(run: Run, body: Any, do: FakeEffects) -> Outcome:
    """When the visitor answers, as the worker does it."""
    kind = registry().stages[run.stage.type]
    config = kind.config.model_validate(run.stage.config)
    cleaned = clean(kind.fields, body)
    if not isinstance(cleaned, Cleaned):
        return kind.missing(run, config, cleaned)
    return await kind.answer(run, config, Answer(cleaned.clear, frozenset(cleaned.secret)), do)
