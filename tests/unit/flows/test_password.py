"""The password stage: equal answers and work for all that is wrong, and a limit that nothing goes around."""

from dataclasses import replace

import pytest

from shared.contracts.asks import PasswordVerified, VerifyPassword
from shared.contracts.planner import BrandFacts
from shared.flows.effects import SecretField
from shared.flows.fields import problem
from shared.flows.stage import Challenge, Denied, Passed, Refused, StageFailed
from shared.flows.stage_types.password import ADDRESS_LIMITED, LOCKED, TOO_MANY
from tests.unit.flows.stories import ALICE, NOBODY, FakeEffects, a_run, answered, shown

INBUILT = "authentik.core.auth.InbuiltBackend"
CONFIG = {"backends": [INBUILT]}
WRONG = PasswordVerified(outcome="wrong")
INVALID = {"password": (problem("Invalid password"),)}


async def test_asks_for_the_password_of_the_pending_user() -> None:
    given = a_run("password", CONFIG, pending_user=ALICE)
    assert await shown(given, FakeEffects()) == Challenge("ak-stage-password", {"allow_show_password": False}, with_user=True)


async def test_links_the_recovery_flow_of_the_brand_with_an_absolute_address() -> None:
    given = a_run("password", CONFIG)
    brand = BrandFacts(pk="b", domain="d", title="t", flow_recovery="flow-r")
    given = replace(given, plan=given.plan.model_copy(update={"brand": brand, "links": {"flow-r": "recover"}}))
    challenge = await shown(given, FakeEffects())
    assert isinstance(challenge, Challenge)
    assert challenge.fields["recovery_url"] == "http://login.example/if/flow/recover/"


async def test_the_brands_own_host_goes_before_the_one_that_a_stranger_names() -> None:
    given = a_run("password", CONFIG)
    for domain, written in (("example", "login.example"), ("auth.example.org", "auth.example.org"), ("login.example", "login.example")):
        brand = BrandFacts(pk="b", domain=domain, title="t", flow_recovery="flow-r")
        planned = replace(given, plan=given.plan.model_copy(update={"brand": brand, "links": {"flow-r": "recover"}}))
        challenge = await shown(planned, FakeEffects())
        assert isinstance(challenge, Challenge)
        assert challenge.fields["recovery_url"] == f"http://{written}/if/flow/recover/"


async def test_right_password_proves_the_user_and_says_by_what() -> None:
    do = FakeEffects([PasswordVerified(outcome="ok", user=ALICE, backend=INBUILT, method="password")])
    then = await answered(a_run("password", CONFIG, pending_user=ALICE), {"password": "secret"}, do)
    assert isinstance(then, Passed)
    assert (then.subject, then.method) == ("uid-alice", "password")
    assert then.pending_user == ALICE.model_copy(update={"backend": INBUILT})
    assert then.context["auth_method"] == "password"
    ask = VerifyPassword(user=7, identifier="alice", backends=(INBUILT,), address="192.0.2.1", flow="login", stage="the stage")
    assert do.asked == [(ask, SecretField("password"))]


@pytest.mark.parametrize("user", [ALICE, NOBODY])
async def test_wrong_password_and_unknown_user_are_told_the_same_after_the_same_work(user: object) -> None:
    who = ALICE if user is ALICE else NOBODY
    do = FakeEffects([WRONG])
    then = await answered(a_run("password", CONFIG, pending_user=who), {"password": "x"}, do)
    assert then == Refused(INVALID, counters={"password_failures": 1})
    assert [ask.user for ask, _ in do.asked if isinstance(ask, VerifyPassword)] == [who.pk]


async def test_an_answer_without_a_password_counts_too() -> None:
    do = FakeEffects()
    then = await answered(a_run("password", CONFIG, pending_user=ALICE, counters={"password_failures": 3}), {}, do)
    assert then == Refused({"password": (problem("This field is required.", "required"),)}, counters={"password_failures": 4})
    assert do.asked == []


@pytest.mark.parametrize("body", [{"password": "x"}, {}, {"password": ""}, None])
async def test_the_last_wrong_answer_denies_for_good_and_clears_the_counter(body: object) -> None:
    given = a_run("password", CONFIG, pending_user=ALICE, counters={"password_failures": 4})
    then = await answered(given, body, FakeEffects([WRONG]))
    assert then == Denied(counters={"password_failures": 0}, final=True, told=TOO_MANY, reason="too_many_failures")


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (PasswordVerified(outcome="wrong", limited="account"), ""),
        (PasswordVerified(outcome="wrong", limited="network"), ""),
        (PasswordVerified(outcome="wrong", limited="browser"), ""),
        (PasswordVerified(outcome="wrong", knows_browser=True), ""),
        (PasswordVerified(outcome="wrong", limited="account", knows_browser=True), LOCKED),
        (PasswordVerified(outcome="wrong", limited="browser", knows_browser=True), LOCKED),
        (PasswordVerified(outcome="wrong", limited="address"), ADDRESS_LIMITED),
        (PasswordVerified(outcome="wrong", limited="address", knows_browser=True), ADDRESS_LIMITED),
    ],
)
@pytest.mark.parametrize("failures", [0, 4])
async def test_only_a_browser_of_the_owner_is_told_that_the_account_is_locked(result: PasswordVerified, told: str, failures: int) -> None:
    given = a_run("password", CONFIG, pending_user=ALICE, counters={"password_failures": failures})
    then = await answered(given, {"password": "x"}, FakeEffects([result]))
    assert isinstance(then, Refused | Denied)
    assert then.told == (told or (TOO_MANY if failures else ""))
    if isinstance(then, Refused):
        assert then.problems == INVALID
    else:
        assert then.message == ""


async def test_without_a_pending_user_it_denies() -> None:
    assert await answered(a_run("password", CONFIG), {"password": "x"}, FakeEffects()) == Denied()


async def test_proof_for_somebody_else_is_a_failure_and_not_a_pass() -> None:
    other = ALICE.model_copy(update={"pk": 8})
    do = FakeEffects([PasswordVerified(outcome="ok", user=other, backend=INBUILT)])
    with pytest.raises(StageFailed):
        await answered(a_run("password", CONFIG, pending_user=ALICE), {"password": "x"}, do)
