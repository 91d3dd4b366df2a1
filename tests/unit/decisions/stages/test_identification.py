"""The identification stage: finds somebody, pretends somebody, and takes the password on the same page."""

from typing import Any

import pytest

from shared.contracts.asks import FindUser, UserFound, VerifyPassword
from shared.contracts.definitions import StageBody
from shared.contracts.planner import PlannedStage
from shared.contracts.states import RunState
from shared.flows.shown import person_of
from tests.unit.decisions.around import Around
from tests.unit.decisions.given import given
from tests.unit.decisions.words import answer, event, run_at, run_before
from tests.unit.executor.world import ALICE, PASSWORD, stage

NAMED: dict[str, Any] = {"user_fields": ("username",)}
ASKS = stage("identification", NAMED)
FAILED = {"non_field_errors": ({"string": "Failed to authenticate.", "code": "invalid"},)}


LEAST: dict[str, Any] = {"password": PASSWORD, "identification": NAMED}


def combined(**config: Any) -> PlannedStage:
    """Name and password on one page; `config` is the password stage's."""
    reference = StageBody(pk="p", name="p", type="password", config={**PASSWORD, "failed_attempts_before_cancel": 2, **config})
    return stage("identification", {**NAMED, "password_stage": "p"}).model_copy(update={"references": {"p": reference}})


def test_it_asks() -> None:
    given(*run_before(ASKS)).when(answer()).then(
        "stage.passed",
        event("stage.challenged", view={"component": "ak-stage-identification", "person": None, "fields": {"password_fields": False}}),
    )


def test_it_links_other_flows_with_the_query_and_nothing_else() -> None:
    linked = stage("identification", {**NAMED, "enrollment_flow": "e", "recovery_flow": "gone"})
    then = (
        given(*run_before(linked, links={"e": "enroll"})).when(answer(query='next="><script>#x')).then("stage.passed", "stage.challenged")
    )
    assert then.run.view
    assert then.run.view.fields["enroll_url"] == "/if/flow/enroll/?next=%22%3E%3Cscript%3E%23x"
    assert "recovery_url" not in then.run.view.fields


def test_somebody_is_found_and_nothing_is_proved() -> None:
    came = given(*run_at(ASKS)).when(answer(body={"uid_field": " alice "}))
    assert came.asked == [FindUser(fields=("username",), value="alice")]
    then = came.then(
        event("stage.passed", evidence={"subject": ALICE.uid, "method": "identification", "proves": ""}, pending_user={"pk": 7}),
        "run.finished",
    )  # fmt: skip
    assert then.state.rotation == 0


def test_somebody_unknown_goes_on_as_a_pretended_user() -> None:
    given(*run_at(ASKS)).when(answer(body={"uid_field": "nobody"})).then(
        event("stage.passed", evidence={"subject": "anonymous"}, pending_user={"pk": None, "username": "nobody"}),
        "run.finished",
    )


def test_or_is_refused_and_stays_in_the_context() -> None:
    strict = stage("identification", {**NAMED, "pretend_user_exists": False})
    given(*run_at(strict)).when(answer(body={"uid_field": "nobody"})).then(
        event("answer.refused", errors=FAILED, pending_user={"username": "nobody"}),
        event("stage.challenged", view={"errors": FAILED}),
    )


@pytest.mark.parametrize(
    ("config", "ahead", "shown"),
    [
        ({"show_matched_user": False}, (), {"pending_user_identifier": "ALICE"}),
        ({}, ("password", "user_login"), {"pending_user_typed": "ALICE"}),
        ({}, ("dummy",), {"pending_user_identifier": None, "pending_user_typed": None}),
    ],
)
def test_what_was_typed_is_shown_for_good_until_a_proof_or_not_at_all(
    config: dict[str, Any], ahead: tuple[str, ...], shown: dict[str, Any]
) -> None:
    asks, more = stage("identification", {**NAMED, **config}), tuple(stage(kind, PASSWORD if kind == "password" else {}) for kind in ahead)
    given(*run_at(asks, more=more)).when(answer(body={"uid_field": "ALICE"})).then(
        event("stage.passed", context=shown), "stage.challenged" if more else "run.finished"
    )


@pytest.mark.parametrize("body", [{}, {"uid_field": "x" * 513}, {"uid_field": ["alice"]}], ids=["none", "too long", "a list"])
def test_what_can_be_no_name_writes_nothing_and_nobody_is_asked(body: dict[str, Any]) -> None:
    came = given(*run_at(ASKS)).when(answer(body=body))
    came.offers("answer.refused", "stage.challenged")
    assert came.asked == []


def named(body: dict[str, str], asks: PlannedStage = ASKS, *ahead: str, **context: str) -> RunState:
    """The run once somebody has said who they are; stages of these types are ahead, after a page."""
    around, more = Around(), (stage("dummy"), *(stage(kind, LEAST.get(kind)) for kind in ahead))
    around.directory.says["directory.user.find"] = UserFound(user=ALICE, identifier="alice")
    came = given(*run_at(asks, more=more, context=context), around=around).when(answer(body=body))
    return came.then("stage.passed", "stage.challenged").run


@pytest.mark.parametrize("ahead", [("password", "user_login"), ("dummy", "password"), ("identification",), ("user_login",)])
def test_with_a_proof_or_a_login_ahead_what_was_typed_is_shown_until_then(ahead: tuple[str, ...]) -> None:
    run = named({"uid_field": "ALICE"}, ASKS, *ahead)
    assert person_of(run.context, run.pending_user, None) == "ALICE"
    assert person_of(run.context, ALICE.model_copy(update={"backend": "b"}), None) == "alice"


@pytest.mark.parametrize("ahead", [(), ("dummy",), ("dummy", "deny"), ("of a later release",)])
def test_where_nothing_is_to_be_proved_who_was_found_is_shown(ahead: tuple[str, ...]) -> None:
    run = named({"uid_field": "ALICE"}, ASKS, *ahead)
    assert person_of(run.context, run.pending_user, None) == "alice"


@pytest.mark.parametrize("show", [True, False])
@pytest.mark.parametrize("ahead", [(), ("password",)])
def test_who_identifies_again_is_not_shown_as_whom_they_typed_before(show: bool, ahead: tuple[str, ...]) -> None:
    asks = stage("identification", {**NAMED, "show_matched_user": show})
    run = named({"uid_field": "alice"}, asks, *ahead, pending_user_identifier="before", pending_user_typed="before")
    assert person_of(run.context, run.pending_user, None) == "alice"


def test_a_wrong_password_on_the_first_page_shows_what_was_typed() -> None:
    then = given(*run_at(combined())).when(answer(body={"uid_field": "alice", "password": "x"})).then(
        "session.counted", "answer.refused", "stage.challenged"
    )  # fmt: skip
    assert then.run.context["pending_user_typed"] == "alice" == person_of(then.run.context, then.run.pending_user, None)


def test_the_page_with_the_password_takes_its_settings() -> None:
    then = given(*run_before(combined(allow_show_password=True))).when(answer()).then("stage.passed", "stage.challenged")
    assert then.run.view
    assert (then.run.view.fields["password_fields"], then.run.view.fields["allow_show_password"]) == (True, True)


def test_on_the_page_with_the_password_both_are_proved_at_once() -> None:
    given(*run_at(combined())).when(answer(body={"uid_field": "alice", "password": "secret"})).then(
        event("stage.passed", evidence={"method": "identification.password", "proves": "password", "user": 7}),
        "run.finished",
        "session.rotated",
    )


@pytest.mark.parametrize(
    "body", [{"uid_field": "alice", "password": "nope"}, {"uid_field": "nobody", "password": "secret"}, {"uid_field": "alice"}]
)
def test_there_a_wrong_name_a_wrong_password_and_none_are_the_same_and_counted(body: dict[str, str]) -> None:
    came = given(*run_at(combined())).when(answer(body=body))
    assert sum(isinstance(ask, VerifyPassword) for ask in came.asked) == ("password" in body)
    after = came.then(
        event("session.counted", value=1), event("answer.refused", errors=FAILED), event("stage.challenged", view={"errors": FAILED})
    )  # fmt: skip
    after.when(answer(body=body)).then(event("session.counted", value=0), event("run.denied", reason="too_many_failures"))


def test_there_what_can_be_no_password_is_counted_too() -> None:
    given(*run_at(combined())).when(answer(body={"uid_field": "alice", "password": [1]})).then(
        "session.counted",
        event("answer.refused", errors={"password": ({"string": "Not a valid string.", "code": "invalid"},)}),
        "stage.challenged",
    )


def test_without_its_password_stage_in_the_plan_it_lets_nobody_through() -> None:
    lost = stage("identification", {**NAMED, "password_stage": "p"})
    given(*run_before(lost)).when(answer()).then("stage.passed", event("stage.challenged", view={"kind": "error"}))
