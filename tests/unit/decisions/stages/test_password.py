"""The password stage: asks for the pending user's password and has the directory verify it."""

import pytest

from shared.contracts.asks import PasswordVerified
from shared.flows.stage_types.password import ADDRESS_LIMITED, LOCKED, TOO_MANY
from tests.unit.decisions.given import Around, given
from tests.unit.decisions.words import answer, event, run_at, run_before
from tests.unit.executor.world import ALICE, BRAND, PASSWORD, stage

ASKS = stage("password", {**PASSWORD, "failed_attempts_before_cancel": 2})
WRONG = {"password": ({"string": "Invalid password", "code": "invalid"},)}
BOB = ALICE.model_copy(update={"pk": 8, "uid": "uid-bob"})


def saying(**result: object) -> Around:
    around = Around()
    around.directory.says["directory.password.verify"] = PasswordVerified.model_validate(result)
    return around


def test_it_asks_and_says_whose_it_wants() -> None:
    given(*run_before(ASKS, pending_user=ALICE)).when(answer()).then(
        "stage.passed",
        event("stage.challenged", view={"component": "ak-stage-password", "person": "alice", "fields": {"allow_show_password": False}}),
    )


def test_it_links_the_recovery_flow_at_the_address_that_the_brand_names() -> None:
    brand = BRAND.model_copy(update={"domain": "login.example", "flow_recovery": "r"})
    then = given(*run_before(ASKS, pending_user=ALICE, brand=brand, links={"r": "recover"})).when(answer(host="evil.example")).then(
        "stage.passed", "stage.challenged"
    )  # fmt: skip
    assert then.run.view
    assert then.run.view.fields["recovery_url"] == "http://login.example/if/flow/recover/"


def test_the_right_one_proves_the_user_and_the_session_rotates() -> None:
    then = given(*run_at(ASKS, pending_user=ALICE)).when(answer(body={"password": "secret"})).then(
        event("stage.passed", evidence={"subject": ALICE.uid, "proves": "password", "user": 7}, context={"auth_method": "password"}),
        "run.finished", event("session.rotated", why="secret"),
    )  # fmt: skip
    assert then.state.rotation == 1


def test_a_wrong_one_is_refused_and_counted() -> None:
    then = given(*run_at(ASKS, pending_user=ALICE)).when(answer(body={"password": "nope"})).then(
        event("session.counted", name="password_failures", value=1), event("answer.refused", errors=WRONG),
        event("stage.challenged", view={"errors": WRONG, "told": ""}),
    )  # fmt: skip
    assert then.state.counters == {"password_failures": 1}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"limited": "address"}, ADDRESS_LIMITED),
        ({"limited": "account", "knows_browser": True}, LOCKED),
        ({"limited": "account"}, ""),
        ({"knows_browser": True}, ""),
    ],
)
def test_of_a_limit_only_that_is_told_which_tells_of_nobody_or_to_a_browser_of_theirs(result: dict[str, object], told: str) -> None:
    around = saying(outcome="wrong", **result)
    given(*run_at(ASKS, pending_user=ALICE), around=around).when(answer(body={"password": "nope"})).then(
        "session.counted", event("answer.refused", errors=WRONG), event("stage.challenged", view={"told": told})
    )


def test_none_at_all_counts_too() -> None:
    given(*run_at(ASKS, pending_user=ALICE)).when(answer(body={})).then("session.counted", "answer.refused", "stage.challenged")


@pytest.mark.parametrize("action", ["retry", "restart", "restart_with_context"])
@pytest.mark.parametrize("body", [{"password": "nope"}, {}], ids=["wrong", "none"])
def test_the_last_one_denies_for_good_and_clears_the_counter_whatever_restarts(body: dict[str, str], action: str) -> None:
    asks = stage("password", {**PASSWORD, "failed_attempts_before_cancel": 1}, action=action)
    given(*run_at(asks, pending_user=ALICE)).when(answer(body=body)).then(
        event("session.counted", value=0), event("run.denied", reason="too_many_failures", view={"told": TOO_MANY})
    )


def test_without_a_pending_user_it_denies() -> None:
    given(*run_at(ASKS)).when(answer(body={"password": "secret"})).then(event("run.denied", reason="denied"))


@pytest.mark.parametrize("user", [None, BOB])
def test_a_proof_of_somebody_else_is_an_error_and_no_pass(user: object) -> None:
    around = saying(outcome="ok", user=user)
    given(*run_at(ASKS, pending_user=ALICE), around=around).when(answer(body={"password": "secret"})).then(
        event("stage.challenged", view={"kind": "error"})
    )
