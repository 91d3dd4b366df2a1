"""From a flow and a visitor to a plan: given definitions, when a plan is asked for, then this comes of it."""

from typing import Any

import pytest

from services.planner.application.planning import NOT_APPLICABLE
from shared.contracts import wire
from shared.contracts.definitions import FlowBody
from shared.contracts.planner import MAX_STAGES, PlanMade, PlanRefused
from shared.kernel.errors import Unavailable
from tests.unit.planner import support
from tests.unit.planner.support import (
    Published,
    ScriptedPolicy,
    bound,
    brand,
    flow,
    guard,
    hash_of,
    plan_request,
    planned,
    records,
    stage,
    user,
    visitor,
)

A, B, C = stage("a"), stage("b"), stage("c")
ONCE: dict[str, Any] = {"evaluate_on_plan": True, "re_evaluate_policies": False}


def given(*bodies: Any) -> Published:
    return Published().add(A, B, C, *bodies)


def stages(made: PlanMade | PlanRefused) -> list[str]:
    assert isinstance(made, PlanMade), made
    return [one.stage for one in made.plan.stages]


def refused(made: PlanMade | PlanRefused) -> PlanRefused:
    assert isinstance(made, PlanRefused), made
    return made


async def test_a_plan_holds_the_stages_in_order_with_their_configuration() -> None:
    login = stage("d", throw_error=False)
    body = flow("login", bound("b3", C, 30), bound("b1", login, 10), bound("b2", B, 20, invalid_response_action="restart"))
    made = await planned(given(login, body), plan_request("login"))
    assert stages(made) == ["d", "b", "c"]
    assert isinstance(made, PlanMade)
    first, second, _ = made.plan.stages
    assert (first.binding, first.name, first.type, first.config) == ("b1", "stage d", "dummy", {"throw_error": False})
    assert second.invalid_response_action == "restart"
    assert made.plan.flow == body.facts
    assert made.plan.definition == hash_of(body)
    assert (made.request, made.session, made.run) == ("r1", support.SESSION, "run1")
    assert made.digest == plan_request("login").digest
    assert made.verdicts == ()


async def test_bindings_of_equal_order_come_by_their_ids() -> None:
    assert stages(await planned(given(flow("login", bound("y", A), bound("x", B))), plan_request("login"))) == ["b", "a"]


async def test_an_unknown_flow_is_refused_without_asking_anybody() -> None:
    policy = ScriptedPolicy()
    answer = refused(await planned(given(), plan_request("nothing"), policy))
    assert (answer.reason, answer.messages, answer.flow) == ("unknown_flow", (), None)
    assert policy.asked == []


async def test_a_binding_without_policies_asks_nothing() -> None:
    policy = ScriptedPolicy()
    body = flow("login", bound("b1", A, 1, **ONCE), bound("b2", B, 2))
    assert stages(await planned(given(body), plan_request("login"), policy)) == ["a", "b"]
    assert policy.asked == []


@pytest.mark.parametrize(
    ("on_plan", "on_reach", "outcome", "kept", "re_evaluated"),
    [
        (False, True, "fail", True, True),
        (True, False, "fail", False, None),
        (True, True, "fail", False, None),
        (False, False, "fail", True, False),
        (True, False, "pass", True, False),
        (True, True, "pass", True, True),
        (True, False, "error", True, False),
        (True, True, "error", True, True),
    ],
)
async def test_the_two_switches_of_a_binding(on_plan: bool, on_reach: bool, outcome: Any, kept: bool, re_evaluated: bool | None) -> None:
    policy = ScriptedPolicy({"p": outcome})
    body = flow("login", bound("b1", A, 1, "p", evaluate_on_plan=on_plan, re_evaluate_policies=on_reach), bound("b2", B, 2))
    made = await planned(given(body), plan_request("login"), policy)
    assert stages(made) == (["a", "b"] if kept else ["b"])
    assert len(policy.asked) == (1 if on_plan else 0)
    assert isinstance(made, PlanMade)
    assert len(made.verdicts) == len(policy.asked)
    if re_evaluated is not None:
        assert made.plan.stages[0].re_evaluate is re_evaluated
        # The stage names the verdict that it is there by, and only one whose guard was asked.
        assert made.plan.stages[0].verdict == (made.verdicts[0].request if on_plan else "")
        assert made.plan.stages[0].guard == guard("b1", "p")


async def test_an_obligation_keeps_a_stage_that_policy_would_drop() -> None:
    body = flow("login", bound("b1", A, 1, "p", **ONCE), bound("b2", B, 2, "p", **ONCE), bound("b3", C, 3))
    made = await planned(given(body), plan_request("login", obligations=("b2",)), ScriptedPolicy({"p": "fail"}))
    assert stages(made) == ["b", "c"]


async def test_guards_are_asked_about_the_pending_user_with_the_context_and_a_plan(limits_as_shipped: None) -> None:
    policy = ScriptedPolicy()
    context = {"is_sso": True}
    body = flow("login", bound("b1", A, 1, "p", **ONCE), policies=("q",))
    await planned(given(body), plan_request("login", visitor(user("alice")), context, pending=user("bob")), policy)
    of_flow, of_stage = policy.asked
    assert (of_flow.purpose, of_flow.guard.target, of_flow.facts.planned) == ("flow", "pk-login", False)
    assert (of_stage.purpose, of_stage.guard.target, of_stage.facts.planned) == ("plan", "b1", True)
    for asked in policy.asked:
        assert asked.facts.user == asked.facts.pending_user == user("bob")
        assert asked.facts.visitor == visitor(user("alice"))
        assert asked.facts.context == context
        assert asked.deadline_us == support.CLOCK.now_us() + 1_500_000
        assert (asked.session, asked.run) == (support.SESSION, "run1")
    assert of_flow.request != of_stage.request


async def test_without_a_pending_user_guards_are_asked_about_the_visitor() -> None:
    policy = ScriptedPolicy()
    await planned(given(flow("login", bound("b1", A), policies=("q",))), plan_request("login", visitor(user("alice"))), policy)
    assert policy.asked[0].facts.user == user("alice")


async def test_the_same_request_again_asks_the_same_question() -> None:
    policy = ScriptedPolicy()
    catalog = given(flow("login", bound("b1", A, 1, "p", **ONCE), policies=("q",)))
    first = await planned(catalog, plan_request("login"), policy)
    assert await planned(catalog, plan_request("login"), policy) == first
    assert policy.asked[:2] == policy.asked[2:]


async def test_a_flow_that_does_not_apply_tells_policys_messages_in_order() -> None:
    policy = ScriptedPolicy({"q": "fail"}, {"q": ("first", "second")})
    answer = refused(await planned(given(flow("login", bound("b1", A), policies=("q",))), plan_request("login"), policy))
    assert (answer.reason, answer.messages) == ("not_applicable", ("first", "second"))
    assert answer.flow is not None
    assert [one.outcome for one in answer.verdicts] == ["fail"]


async def test_a_flow_that_does_not_apply_without_messages_says_so() -> None:
    answer = refused(
        await planned(given(flow("login", bound("b1", A), policies=("q",))), plan_request("login"), ScriptedPolicy({"q": "fail"}))
    )
    assert (answer.reason, answer.messages) == ("not_applicable", (NOT_APPLICABLE,))


async def test_an_error_of_the_flows_policies_does_not_let_in() -> None:
    policy = ScriptedPolicy({"q": "error"}, {"q": ("name 'x' is not defined",)}, {"q": "exception"})
    answer = refused(await planned(given(flow("login", bound("b1", A), policies=("q",))), plan_request("login"), policy))
    assert (answer.reason, answer.messages) == ("not_applicable", ("name 'x' is not defined",))


async def test_a_policy_service_that_cannot_decide_now_is_an_error_to_try_again() -> None:
    policy = ScriptedPolicy({"q": "error"}, reasons={"q": "unavailable"})
    answer = refused(await planned(given(flow("login", bound("b1", A), policies=("q",))), plan_request("login"), policy))
    assert answer.reason == "error"


@pytest.mark.parametrize(
    "body",
    [flow("login", bound("b1", A), policies=("q",)), flow("login", bound("b1", A, 1, "p", **ONCE), bound("b2", B, 2, "p", **ONCE))],
    ids=["flow", "stages"],
)
async def test_a_policy_service_that_is_away_is_an_error(body: FlowBody) -> None:
    assert refused(await planned(given(body), plan_request("login"), ScriptedPolicy(away=True))).reason == "error"


async def test_what_is_no_outage_is_not_hidden() -> None:
    class Broken(ScriptedPolicy):
        async def verdict(self, question: Any) -> Any:
            raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="mistake"):
        await planned(given(flow("login", bound("b1", A, 1, "p", **ONCE))), plan_request("login"), Broken())
    assert not issubclass(RuntimeError, Unavailable)


async def test_a_requirement_is_checked_before_any_policy_and_also_with_a_pending_user() -> None:
    policy = ScriptedPolicy()
    catalog = given(flow("login", bound("b1", A), policies=("q",), authentication="require_authenticated"))
    answer = refused(await planned(catalog, plan_request("login", pending=user()), policy))
    assert (answer.reason, answer.messages) == ("not_applicable", (NOT_APPLICABLE,))
    assert policy.asked == []


async def test_a_flow_without_stages_is_empty_and_so_is_one_that_lost_them_all() -> None:
    assert refused(await planned(given(flow("login")), plan_request("login"))).reason == "empty"
    dropped = given(flow("login", bound("b1", A, 1, "p", **ONCE)))
    answer = refused(await planned(dropped, plan_request("login"), ScriptedPolicy({"p": "fail"})))
    assert (answer.reason, len(answer.verdicts)) == ("empty", 1)


async def test_a_plan_of_64_stages_is_made_and_one_of_65_is_not() -> None:
    many = [bound(f"b{n:02}", A, n) for n in range(MAX_STAGES + 1)]
    assert len(stages(await planned(given(flow("login", *many[:-1])), plan_request("login")))) == MAX_STAGES
    assert refused(await planned(given(flow("login", *many)), plan_request("login"))).reason == "too_long"


async def test_stages_that_others_refer_to_come_with_the_plan() -> None:
    password = stage("pw", "password", backends=("authentik.core.auth.InbuiltBackend",), configure_flow="pk-change")
    ident = stage("id", "identification", user_fields=("username",), password_stage="pw", recovery_flow="pk-recovery")
    change = flow("change", designation="stage_configuration")
    recovery = flow("recovery", designation="recovery")
    made = await planned(given(password, change, recovery, ident, flow("login", bound("b1", ident))), plan_request("login"))
    assert isinstance(made, PlanMade)
    assert made.plan.stages[0].references == {"pw": password}
    assert made.plan.links == {"pk-change": "change", "pk-recovery": "recovery"}
    wire.pack(made.model_dump())


async def test_the_brands_recovery_flow_is_linked_and_a_flow_that_is_gone_is_not() -> None:
    ident = stage("id", "identification", user_fields=("username",), enrollment_flow="pk-gone")
    shop = brand("login.example", flow_recovery="pk-recovery")
    catalog = given(shop, ident, flow("recovery", designation="recovery"), flow("login", bound("b1", ident)))
    made = await planned(catalog, plan_request("login"))
    assert isinstance(made, PlanMade)
    assert (made.plan.brand.domain, made.plan.brand.flow_recovery) == ("login.example", "pk-recovery")
    assert made.plan.links == {"pk-recovery": "recovery"}


async def test_the_first_recovery_flow_is_linked_for_a_brand_that_names_none() -> None:
    ident = stage("id", "identification", user_fields=("username",))
    flows = (flow("z-recovery", designation="recovery"), flow("a-recovery", designation="recovery"), flow("login", bound("b1", ident)))
    made = await planned(given(brand("login.example"), ident, *flows), plan_request("login"))
    assert isinstance(made, PlanMade)
    assert made.plan.brand.flow_recovery == "pk-a-recovery"
    assert made.plan.links == {"pk-a-recovery": "a-recovery"}


async def test_a_stage_that_is_not_here_yet_is_waited_for() -> None:
    password = stage("pw", "password", backends=("authentik.core.auth.InbuiltBackend",))
    ident = stage("id", "identification", user_fields=("username",), password_stage="pw")
    catalog = given(ident, flow("login", bound("b1", ident)))
    catalog.later = tuple(records(password))
    made = await planned(catalog, plan_request("login"))
    assert isinstance(made, PlanMade)
    assert set(made.plan.stages[0].references) == {"pw"}
    assert catalog.waited == [1.0]


async def test_a_stage_that_never_comes_is_an_error_because_it_may_be_a_check() -> None:
    ident = stage("id", "identification", user_fields=("username",), password_stage="pw")
    assert refused(await planned(given(ident, flow("login", bound("b1", ident))), plan_request("login"))).reason == "error"


async def test_a_stage_of_an_unknown_type_is_an_error() -> None:
    strange = stage("s", "hologram")
    assert refused(await planned(given(strange, flow("login", bound("b1", strange))), plan_request("login"))).reason == "error"


async def test_verdicts_are_not_shared_between_visitors() -> None:
    catalog = given(flow("login", bound("b1", A, 1, "p", **ONCE), bound("b2", B, 2)))
    assert stages(await planned(catalog, plan_request("login"), ScriptedPolicy({"p": "fail"}))) == ["b"]
    assert stages(await planned(catalog, plan_request("login"), ScriptedPolicy({"p": "pass"}))) == ["a", "b"]
