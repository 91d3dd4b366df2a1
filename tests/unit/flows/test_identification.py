"""The identification stage: finding somebody, pretending somebody, and the combined page."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.asks import FindUser, PasswordVerified, UserFound, VerifyPassword
from shared.flows.fields import NON_FIELD, problem
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, StageFailed
from shared.flows.stage_types.identification import IdentificationConfig
from shared.flows.stage_types.password import TOO_MANY
from tests.unit.flows.stories import ALICE, NOBODY, FakeEffects, a_run, answered, shown

CONFIG: dict[str, Any] = {"user_fields": ["email", "username"]}
FAILED = {NON_FIELD: (problem("Failed to authenticate."),)}
FOUND = UserFound(user=ALICE, identifier="alice")
MISSED = UserFound(user=None, identifier="nobody")
WRONG = PasswordVerified(outcome="wrong")


def combined(**changes: Any) -> Run:
    password = {"backends": ("authentik.core.auth.InbuiltBackend",), "failed_attempts_before_cancel": 3, "allow_show_password": True}
    run = a_run("identification", CONFIG | {"password_stage": "stage-p"}, **changes)
    reference = {"pk": "stage-p", "name": "p", "type": "password", "config": password}
    return replace(run, stage=run.stage.model_copy(update={"references": {"stage-p": reference}}))


async def test_challenge_is_the_recorded_one() -> None:
    assert await shown(a_run("identification", CONFIG), FakeEffects()) == Challenge(
        "ak-stage-identification",
        {
            "user_fields": ["email", "username"],
            "password_fields": False,
            "allow_show_password": False,
            "flow_designation": "authentication",
            "primary_action": "Log in",
            "sources": [],
            "show_source_labels": False,
        },
    )


@pytest.mark.parametrize(
    ("query", "suffix"),
    [("", ""), ("next=%2Fapp", "?next=%2Fapp"), ('next="><script>#x', "?next=%22%3E%3Cscript%3E%23x"), ("a=\ud800", "?a=%3F")],
)
async def test_links_other_flows_with_the_original_query_and_nothing_else(query: str, suffix: str) -> None:
    given = a_run("identification", CONFIG | {"enrollment_flow": "flow-e", "recovery_flow": "gone"}, query=query)
    given = replace(given, plan=given.plan.model_copy(update={"links": {"flow-e": "enroll"}}))
    challenge = await shown(given, FakeEffects())
    assert isinstance(challenge, Challenge)
    assert challenge.fields["enroll_url"] == f"/if/flow/enroll/{suffix}"
    assert not {"recovery_url", "passwordless_url"} & set(challenge.fields)


async def test_finds_somebody_by_the_configured_fields() -> None:
    do = FakeEffects([FOUND])
    then = await answered(a_run("identification", CONFIG), {"uid_field": " alice "}, do)
    assert then == Passed("uid-alice", "identification", pending_user=ALICE)
    assert do.asked == [(FindUser(fields=("email", "username"), value="alice"), None)]


async def test_somebody_unknown_goes_on_as_a_pretended_user() -> None:
    then = await answered(a_run("identification", CONFIG), {"uid_field": "nobody"}, FakeEffects([MISSED]))
    assert then == Passed("anonymous", "identification", pending_user=NOBODY)


async def test_somebody_unknown_is_refused_if_the_stage_does_not_pretend_but_stays_in_the_context() -> None:
    given = a_run("identification", CONFIG | {"pretend_user_exists": False})
    then = await answered(given, {"uid_field": "nobody"}, FakeEffects([MISSED]))
    assert then == Refused(FAILED, pending_user=NOBODY)


async def test_shows_what_was_typed_if_the_match_is_not_to_be_shown() -> None:
    given = a_run("identification", CONFIG | {"show_matched_user": False})
    then = await answered(given, {"uid_field": "ALICE"}, FakeEffects([FOUND]))
    assert isinstance(then, Passed)
    assert then.context["pending_user_identifier"] == "ALICE"


async def test_a_name_that_no_user_can_have_is_refused_before_anybody_is_asked() -> None:
    do = FakeEffects()
    then = await answered(a_run("identification", CONFIG), {"uid_field": "x" * 513}, do)
    assert isinstance(then, Refused)
    assert (list(then.problems), do.asked) == (["uid_field"], [])


async def test_combined_page_asks_for_the_password_and_takes_its_settings() -> None:
    challenge = await shown(combined(), FakeEffects())
    assert isinstance(challenge, Challenge)
    assert (challenge.fields["password_fields"], challenge.fields["allow_show_password"]) == (True, True)


async def test_combined_page_proves_user_and_password_at_once() -> None:
    do = FakeEffects([FOUND, PasswordVerified(outcome="ok", user=ALICE, backend="b", method="password")])
    then = await answered(combined(), {"uid_field": "alice", "password": "secret"}, do)
    assert isinstance(then, Passed)
    assert (then.subject, then.method) == ("uid-alice", "identification.password")
    assert then.pending_user == ALICE.model_copy(update={"backend": "b"})


@pytest.mark.parametrize("found", [FOUND, MISSED])
async def test_combined_page_says_and_costs_the_same_for_unknown_user_and_wrong_password(found: UserFound) -> None:
    do = FakeEffects([found, WRONG])
    then = await answered(combined(), {"uid_field": "somebody", "password": "x"}, do)
    assert isinstance(then, Refused)
    assert (then.problems, then.counters) == (FAILED, {"password_failures": 1})
    assert sum(isinstance(ask, VerifyPassword) for ask, _ in do.asked) == 1


@pytest.mark.parametrize("body", [{"password": "x"}, {"password": None}, {}])
async def test_combined_page_cannot_be_guessed_at_without_end(body: dict[str, object]) -> None:
    given = combined(counters={"password_failures": 2})
    then = await answered(given, {"uid_field": "alice", **body}, FakeEffects([FOUND, WRONG]))
    assert then == Denied(counters={"password_failures": 0}, final=True, told=TOO_MANY, reason="too_many_failures")


async def test_combined_page_without_its_password_stage_fails_and_lets_nobody_through() -> None:
    given = a_run("identification", CONFIG | {"password_stage": "gone"})
    with pytest.raises(StageFailed):
        await answered(given, {"uid_field": "alice"}, FakeEffects([FOUND]))


def test_a_stage_without_any_way_in_is_refused_in_authentiks_words() -> None:
    with pytest.raises(ValidationError) as refused:
        IdentificationConfig()
    assert refused.value.errors()[0]["msg"] == "When no user fields are selected, at least one source must be selected"


@pytest.mark.parametrize("ahead", [("password", "user_login"), ("dummy", "password"), ("identification",), ("user_login",)])
async def test_with_a_proof_or_a_login_ahead_the_match_waits_for_it_whatever_the_stage_says(ahead: tuple[str, ...]) -> None:
    given = a_run("identification", CONFIG, ahead=ahead)
    then = await answered(given, {"uid_field": "alice@EXAMPLE.com"}, FakeEffects([FOUND]))
    assert isinstance(then, Passed)
    found = replace(given, context=then.context, pending_user=then.pending_user)
    assert found.person == "alice@EXAMPLE.com"
    assert replace(found, pending_user=ALICE.model_copy(update={"backend": "b"})).person == "alice"


@pytest.mark.parametrize("ahead", [(), ("dummy",), ("dummy", "deny"), ("of a later release",)])
async def test_where_nothing_is_to_be_proved_the_match_is_shown_as_in_authentik(ahead: tuple[str, ...]) -> None:
    given = a_run("identification", CONFIG, ahead=ahead)
    then = await answered(given, {"uid_field": "alice@EXAMPLE.com"}, FakeEffects([FOUND]))
    assert isinstance(then, Passed)
    assert replace(given, context=then.context, pending_user=then.pending_user).person == "alice"


async def test_a_wrong_password_on_the_first_page_shows_what_was_typed() -> None:
    then = await answered(combined(), {"uid_field": "ALICE", "password": "x"}, FakeEffects([FOUND, WRONG]))
    assert isinstance(then, Refused)
    assert replace(combined(), context=then.context, pending_user=then.pending_user).person == "ALICE"


@pytest.mark.parametrize("show", [True, False])
@pytest.mark.parametrize("ahead", [(), ("password",)])
async def test_who_identifies_again_is_not_shown_as_whom_they_typed_before(show: bool, ahead: tuple[str, ...]) -> None:
    before = {"pending_user_identifier": "before", "pending_user_typed": "before"}
    given = a_run("identification", CONFIG | {"show_matched_user": show}, ahead=ahead, context=before)
    then = await answered(given, {"uid_field": "alice"}, FakeEffects([FOUND]))
    assert isinstance(then, Passed)
    assert replace(given, context={**before, **then.context}, pending_user=then.pending_user).person == "alice"
