"""The password stage: asks for the pending user's password and has the directory verify it."""

import pytest

from shared.contracts.asks import PasswordVerified, VerifyPassword
from shared.contracts.people import UserFacts
from shared.flows.stage_types.password import ADDRESS_LIMITED, LOCKED, TOO_MANY
from tests.unit.decisions.around import Around
from tests.unit.decisions.given import given
from tests.unit.decisions.words import answer, event, run_at, run_before
from tests.unit.executor.world import ALICE, BRAND, PASSWORD, stage

ASKS = stage("password", {**PASSWORD, "failed_attempts_before_cancel": 2})
WRONG = {"password": ({"string": "Invalid password", "code": "invalid"},)}
BOB = ALICE.model_copy(update={"pk": 8, "uid": "uid-bob"})
PRETENDED = UserFacts(pk=None, uuid="", uid="", username="x", name="", email="x", is_active=True, is_superuser=False)


def saying(**result: object) -> Around:
    around = Around()
    around.directory.says["directory.password.verify"] = PasswordVerified.model_validate(result)
    return around


def test_it_asks_and_says_whose_it_wants() -> None:
    given(*run_before(ASKS, pending_user=ALICE)).when(answer()).then(
        "stage.passed",
        event("stage.challenged", view={"component": "ak-stage-password", "person": "alice", "fields": {"allow_show_password": False}}),
    )


@pytest.mark.parametrize(
    ("domain", "host"),
    [("example", "login.example"), ("auth.example.org", "auth.example.org"), ("login.example", "login.example"), ("d", "login.example")],
)
def test_it_links_the_recovery_flow_at_the_host_that_the_brand_names(domain: str, host: str) -> None:
    brand = BRAND.model_copy(update={"domain": domain, "flow_recovery": "r"})
    then = given(*run_before(ASKS, pending_user=ALICE, brand=brand, links={"r": "recover"})).when(answer(host="login.example")).then(
        "stage.passed", "stage.challenged"
    )  # fmt: skip
    assert then.run.view
    assert then.run.view.fields["recovery_url"] == f"http://{host}/if/flow/recover/"


def test_the_right_one_proves_the_user_and_the_session_rotates() -> None:
    came = given(*run_at(ASKS, pending_user=ALICE)).when(answer(body={"password": "secret"}))
    assert came.asked == [
        VerifyPassword(user=7, identifier="alice", backends=PASSWORD["backends"], address="192.0.2.1", flow="login", stage="password")
    ]
    then = came.then(
        event("stage.passed", evidence={"subject": ALICE.uid, "proves": "password", "user": 7}, context={"auth_method": "password"}),
        "run.finished", event("session.rotated", why="secret"),
    )  # fmt: skip
    assert then.state.rotation == 1


@pytest.mark.parametrize(("about", "password"), [(ALICE, "nope"), (PRETENDED, "secret")], ids=["wrong", "of nobody"])
def test_a_wrong_one_and_one_of_nobody_are_refused_and_counted_after_the_same_work(about: UserFacts, password: str) -> None:
    came = given(*run_at(ASKS, pending_user=about)).when(answer(body={"password": password}))
    assert [ask.user for ask in came.asked if isinstance(ask, VerifyPassword)] == [about.pk]
    then = came.then(
        event("session.counted", name="password_failures", value=1), event("answer.refused", errors=WRONG),
        event("stage.challenged", view={"errors": WRONG, "told": ""}),
    )  # fmt: skip
    assert then.state.counters == {"password_failures": 1}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"limited": "address"}, ADDRESS_LIMITED),
        ({"limited": "account", "knows_browser": True}, LOCKED),
        ({"limited": "browser", "knows_browser": True}, LOCKED),
        ({"limited": "address", "knows_browser": True}, ADDRESS_LIMITED),
        ({"limited": "account"}, ""),
        ({"limited": "network"}, ""),
        ({"limited": "browser"}, ""),
        ({"knows_browser": True}, ""),
    ],
)
def test_of_a_limit_only_that_is_told_which_tells_of_nobody_or_to_a_browser_of_theirs(result: dict[str, object], told: str) -> None:
    around = saying(outcome="wrong", **result)
    again = given(*run_at(ASKS, pending_user=ALICE), around=around).when(answer(body={"password": "nope"})).then(
        "session.counted", event("answer.refused", errors=WRONG), event("stage.challenged", view={"told": told})
    )  # fmt: skip
    again.when(answer(body={"password": "nope"})).then(
        "session.counted", event("run.denied", view={"message": "Unknown error", "told": told or TOO_MANY})
    )


def test_none_at_all_counts_too_and_nobody_is_asked() -> None:
    came = given(*run_at(ASKS, pending_user=ALICE)).when(answer(body={}))
    assert came.asked == []
    required = {"password": ({"string": "This field is required.", "code": "required"},)}
    came.then("session.counted", event("answer.refused", errors=required), "stage.challenged")


@pytest.mark.parametrize("action", ["retry", "restart", "restart_with_context"])
@pytest.mark.parametrize("body", [{"password": "nope"}, {}, {"password": ""}], ids=["wrong", "none", "empty"])
def test_the_last_one_denies_for_good_and_clears_the_counter_whatever_restarts(body: dict[str, str], action: str) -> None:
    asks = stage("password", {**PASSWORD, "failed_attempts_before_cancel": 1}, action=action)
    given(*run_at(asks, pending_user=ALICE)).when(answer(body=body)).then(
        event("session.counted", value=0), event("run.denied", reason="too_many_failures", view={"told": TOO_MANY})
    )


def test_without_a_pending_user_it_denies() -> None:
    given(*run_at(ASKS)).when(answer(body={"password": "secret"})).then(event("run.denied", reason="denied"))


@pytest.mark.parametrize("user", [None, BOB, ALICE.model_copy(update={"pk": 8}), ALICE.model_copy(update={"uid": "uid-another"})])
def test_a_proof_of_somebody_else_is_an_error_and_no_pass(user: object) -> None:
    around = saying(outcome="ok", user=user)
    given(*run_at(ASKS, pending_user=ALICE), around=around).when(answer(body={"password": "secret"})).then(
        event("stage.challenged", view={"kind": "error"})
    )
