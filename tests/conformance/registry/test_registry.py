"""What every stage and policy type of this release must keep to; a new type is under these rules once it is found."""

import ast
import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from pydantic import ValidationError

from shared.contracts import wire
from shared.contracts.asks import DevicesListed, PasswordVerified, UserFound
from shared.contracts.model import Value
from shared.contracts.people import Visitor
from shared.contracts.policy import Facts
from shared.flows import registry as registry_module
from shared.flows import stage_types
from shared.flows.evidence import KINDS, Need
from shared.flows.fields import Cleaned, clean
from shared.flows.orders import NEEDS
from shared.flows.policy import Decision, Policy
from shared.flows.references import references
from shared.flows.registry import TypeClash, registry
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, Stage
from tests.unit.flows.stories import ALICE, LOGIN, FakeEffects, a_run, answered, proof_of, shown

Kind = Stage[Any] | Policy[Any]
STAGES = list(registry().stages.values())
POLICIES = list(registry().policies.values())
TYPES: list[Kind] = [*STAGES, *POLICIES]
# The least that a configuration needs, for the types whose defaults are not enough.
LEAST: dict[str, dict[str, Any]] = {
    "identification": {"user_fields": ["username"]},
    "password": {"backends": ["authentik.core.auth.InbuiltBackend"]},
    "expression": {"expression": "return True"},
}
ALLOWED_IMPORTS = {"shared.contracts", "shared.flows", "shared.kernel", "pydantic", "pydantic_core"}
FORBIDDEN_IMPORTS = {"os", "socket", "time", "asyncio", "subprocess", "random", "secrets", "uuid", "threading", "pathlib", "io"}
HOSTILE: list[Any] = [None, [], "x", 5, {"component": ""}, {"\u202e": 1}, {"x" * 1000: {"y": [1, 2]}}]


def name_of(kind: Kind) -> str:
    return f"{kind.app}.{kind.model}"


class KnowingEffects(FakeEffects):
    """Answers every ask as the world of an ordinary user would."""

    async def ask(self, ask: Any, secret: Any = None) -> Any:
        self.asked.append((ask, secret))
        answers: dict[str, Value] = {
            "directory.user.find": UserFound(user=ALICE, identifier="alice"),
            "directory.password.verify": PasswordVerified(outcome="ok", user=ALICE, backend="b", method="password"),
            "directory.devices.list": DevicesListed(devices=()),
        }
        return answers[ask.kind]


def run_of(kind: Stage[Any]) -> Run:
    return a_run(kind.name, LEAST.get(kind.name, {}), pending_user=ALICE)


@pytest.mark.parametrize("kind", TYPES, ids=name_of)
def test_configuration_survives_the_wire(kind: Kind) -> None:
    config = kind.config.model_validate(LEAST.get(kind.name, {}))
    dumped = config.model_dump(mode="json")
    assert kind.config.model_validate(dumped) == config
    assert kind.config.model_validate(wire.unpack(wire.pack(dumped), 65_536)) == config
    assert kind.config.model_validate(json.loads(json.dumps(dumped))) == config


@pytest.mark.parametrize("kind", TYPES, ids=name_of)
def test_configuration_refuses_what_it_does_not_know_and_cannot_be_changed(kind: Kind) -> None:
    with pytest.raises(ValidationError):
        kind.config.model_validate(LEAST.get(kind.name, {}) | {"not_a_field": 1})
    config = kind.config.model_validate(LEAST.get(kind.name, {}))
    for field in kind.config.model_fields:
        with pytest.raises(ValidationError):
            setattr(config, field, getattr(config, field))


@pytest.mark.parametrize("kind", TYPES, ids=name_of)
def test_configuration_has_a_schema_and_its_references_are_its_fields(kind: Kind) -> None:
    schema = kind.config.model_json_schema()
    assert set(schema.get("properties", {})) == set(kind.config.model_fields)
    assert set(references(kind.config)) <= set(kind.config.model_fields)


@pytest.mark.parametrize("kind", TYPES, ids=name_of)
def test_type_says_what_it_is(kind: Kind) -> None:
    assert kind.__doc__
    assert kind.config.__doc__
    assert kind.path.endswith("/")
    assert not kind.path.startswith("/")
    assert kind.form.endswith("-form")
    assert registry().by_model(f"{kind.app}.{kind.model}".upper()) is kind


@pytest.mark.parametrize("kind", TYPES, ids=name_of)
def test_type_reaches_for_nothing_but_its_effects(kind: Kind) -> None:
    source = Path(cast("str", inspect.getsourcefile(type(kind)))).read_text()
    for node in ast.walk(ast.parse(source)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert module.split(".")[0] not in FORBIDDEN_IMPORTS, module
            ours = any(module == allowed or module.startswith(f"{allowed}.") for allowed in ALLOWED_IMPORTS)
            assert ours or module.split(".")[0] in sys.stdlib_module_names, module


@pytest.mark.parametrize("kind", STAGES, ids=name_of)
async def test_what_a_stage_shows_can_be_sent_and_what_it_passes_is_evidence(kind: Stage[Any]) -> None:
    match await shown(run_of(kind), KnowingEffects()):
        case Challenge() as challenge:
            assert challenge.component.startswith("ak-stage-")
            assert "component" not in challenge.fields
            assert json.loads(json.dumps(challenge.fields)) == challenge.fields
        case Passed() as passed:
            assert passed.subject
            assert passed.method
            wire.pack(passed.context)
        case Denied():
            pass


PLAUSIBLE = {"uid_field": "alice", "password": "secret", "remember_me": False, "selected_stage": "s", "code": "123456"}


async def outcomes(kind: Stage[Any], do: KnowingEffects) -> list[Any]:
    """What a stage comes to when it is reached and when it is answered as it would like."""
    run = replace(run_of(kind), evidence=(proof_of(ALICE),), login=LOGIN, began_as=LOGIN)
    came: list[Any] = [await shown(run, do)]
    if isinstance(came[0], Challenge):
        came.append(await answered(run, {name: PLAUSIBLE[name] for name in kind.fields if name in PLAUSIBLE}, do))
    return came


@pytest.mark.parametrize("kind", STAGES, ids=name_of)
async def test_a_stage_proves_and_orders_nothing_that_its_type_does_not_say(kind: Stage[Any]) -> None:
    do = KnowingEffects()
    proofs = [came.proof.kind for came in await outcomes(kind, do) if isinstance(came, Passed) and came.proof]
    assert set(proofs) <= kind.proves <= KINDS
    assert all(NEEDS[type(order)] in (Need.NOTHING, kind.needs) for order in do.orders)
    source = inspect.getsource(cast("ModuleType", inspect.getmodule(type(kind))))
    assert kind.proves or "Proof(" not in source, "a type that proves something says which kinds"
    told = {need for order, need in NEEDS.items() if f"{order.__name__}(" in source}
    assert max(told, default=Need.NOTHING, key=list(Need).index) in (kind.needs, Need.NOTHING), "a type says what its orders need"


@pytest.mark.parametrize("kind", STAGES, ids=name_of)
def test_a_stage_can_prove_only_what_its_type_does(kind: Stage[Any]) -> None:
    config = kind.config.model_validate(LEAST.get(kind.name, {}))
    assert kind.can_prove(config, {}) in ((True, False) if kind.proves else (False,))


def test_what_never_authenticates_proves_nothing() -> None:
    proving = {kind.name for kind in STAGES if kind.can_prove(kind.config.model_validate(LEAST.get(kind.name, {})), {})}
    assert proving == {"password"}


@pytest.mark.parametrize("kind", STAGES, ids=name_of)
async def test_an_empty_answer_is_handled_and_never_passes_a_field_that_is_required(kind: Stage[Any]) -> None:
    if not isinstance(await shown(run_of(kind), KnowingEffects()), Challenge):
        return  # asks nothing, so nobody's answer gets here
    outcome = await answered(run_of(kind), {}, KnowingEffects())
    if any(field.required for field in kind.fields.values()):
        assert isinstance(outcome, Refused)
        assert outcome.problems
    else:
        assert isinstance(outcome, Passed | Refused)


@pytest.mark.parametrize("body", HOSTILE, ids=repr)
@pytest.mark.parametrize("kind", STAGES, ids=name_of)
def test_strange_bodies_are_refused_or_leave_nothing_behind(kind: Stage[Any], body: Any) -> None:
    cleaned = clean(kind.fields, body)
    if isinstance(cleaned, Cleaned):
        assert not set(cleaned.clear) - set(kind.fields)
        assert not set(cleaned.secret) - set(kind.fields)
    else:
        assert all(problem.string and problem.code for problems in cleaned.values() for problem in problems)


@pytest.mark.parametrize("kind", STAGES, ids=name_of)
def test_no_secret_field_is_clear(kind: Stage[Any]) -> None:
    secret = {"password", "code", "token"}
    assert all(field.secret for name, field in kind.fields.items() if name in secret)


class KnowingTools:
    """What a policy may use, when all goes well."""

    async def evaluate(self, expression: str, facts: Facts, timeout_s: float) -> Decision:
        return Decision(passing=True)

    async def wait(self, seconds: float) -> None:
        assert seconds >= 0

    def fraction(self) -> float:
        return 0.5


@pytest.mark.parametrize("kind", POLICIES, ids=name_of)
async def test_a_policy_with_its_defaults_decides(kind: Policy[Any]) -> None:
    config = kind.config.model_validate(LEAST.get(kind.name, {}))
    decision = await kind.decide(config, Facts(visitor=Visitor()), KnowingTools(), 1.0)
    assert isinstance(decision.passing, bool)
    assert all(isinstance(message, str) for message in decision.messages)


async def test_secrets_reach_a_stage_only_as_handles() -> None:
    do = KnowingEffects()
    await answered(run_of(registry().stages["password"]), {"password": "hunter2"}, do)
    assert "hunter2" not in repr(do.asked)
    assert [secret.name for _, secret in do.asked if secret] == ["password"]


def test_two_types_with_one_name_are_an_error_that_names_both_files(monkeypatch: pytest.MonkeyPatch) -> None:
    dummy = sys.modules["shared.flows.stage_types.dummy"]
    twin = ModuleType("shared.flows.stage_types.twin")
    twin.__file__ = "/somewhere/twin.py"
    clone = type("Twin", (dummy.DummyStage,), {"__module__": twin.__name__})
    twin.Twin = clone  # type: ignore[attr-defined]
    monkeypatch.setattr(registry_module, "_modules", lambda package: iter([dummy, twin]))
    with pytest.raises(TypeClash) as clash:
        registry_module._found(stage_types, Stage)  # type: ignore[type-abstract]
    assert "dummy.py" in str(clash.value)
    assert "twin.py" in str(clash.value)
