"""The log-out stage: ends the browser's login, if it has one."""

from tests.unit.decisions.given import given
from tests.unit.decisions.words import LOGIN, NOW_US, SECOND, answer, event, order, run_before
from tests.unit.executor.world import ALICE, stage

LOGOUT = stage("user_logout")


def test_somebody_is_logged_out_and_the_session_is_over() -> None:
    then = given(*run_before(LOGOUT, user=ALICE)).when(answer()).then(
        "stage.passed", event("stage.passed", evidence={"subject": ALICE.uid, "method": "logout"}), event("session.logged_out", login=LOGIN.login),
        "run.finished", event("session.rotated", why="logout"), event("session.ended", reason="logged_out"),
        orders=[order("directory.login.end", login=LOGIN.login, user=7, at_us=NOW_US + SECOND)],
    )  # fmt: skip
    assert then.state.login is None


def test_by_nobody_it_passes_and_orders_nothing() -> None:
    given(*run_before(LOGOUT)).when(answer()).then(
        "stage.passed", event("stage.passed", evidence={"subject": "anonymous", "method": "logout"}), "run.finished"
    )


def test_what_comes_after_is_shown_to_nobody() -> None:
    after = given(*run_before(LOGOUT, user=ALICE, pending_user=ALICE, more=(stage("dummy"),))).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_out", "stage.challenged", "session.rotated", orders=["directory.login.end"]
    )  # fmt: skip
    assert (after.run.context, after.run.login, after.run.visitor.user) == ({}, None, None)
    after.when(answer()).then("stage.passed", "run.finished", "session.ended")
