"""The log-in stage: makes the browser the pending user's, whom this run has authenticated within the hour."""

import pytest

from shared.contracts.people import UserFacts
from shared.contracts.planner import PlannedStage
from tests.unit.decisions.given import given
from tests.unit.decisions.words import LOGIN, NOW_US, RUN, SECOND, SESSION, answer, event, order, passed, run_at, run_before
from tests.unit.executor.world import ALICE, PASSWORD, stage

LOG_IN = stage("user_login")
ASKING = stage("user_login", {"session_duration": "hours=1", "remember_me_offset": "hours=2"})
PROVED = passed(stage("password", PASSWORD), "password", pending_user=ALICE)
DISABLED = ALICE.model_copy(update={"is_active": False})
PRETENDED = UserFacts(pk=None, uuid="", uid="", username="x", name="", email="x", is_active=True, is_superuser=False)
ENDS = ("run.finished", "session.rotated")
ORDER = ["directory.login.start"]


def test_who_was_proved_is_logged_in() -> None:
    then = given(*run_before(LOG_IN, PROVED)).when(answer()).then(
        "stage.passed", event("stage.passed", evidence={"subject": ALICE.uid, "method": "login", "proves": ""}),
        event("session.logged_in", login={"user": 7, "methods": ("password",), "expires_us": None, "persistent": False}, replaced=None),
        *ENDS, orders=ORDER,
    )  # fmt: skip
    assert then.state.login
    assert then.state.login.at_us == NOW_US + SECOND


def test_the_order_has_the_grounds_and_all_that_it_goes_by() -> None:
    stay = stage("user_login", {"terminate_other_sessions": True})
    evidence = PROVED.evidence.model_dump()
    wanted = order(
        "directory.login.start", session=SESSION, run=RUN, address="192.0.2.1", replaces=LOGIN.login, terminate_others=True,
        grounds={"evidence": (evidence,), "unauthenticated": False}, login={"user": 7, "epoch": 0},
    )  # fmt: skip
    given(*run_before(stay, PROVED, user=ALICE)).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_in", *ENDS, orders=[wanted]
    )


def test_the_methods_of_a_login_are_those_that_were_proved_and_each_once() -> None:
    device = passed(stage("dummy").model_copy(update={"binding": "b-device"}), "device", pending_user=ALICE)
    again = passed(stage("password").model_copy(update={"binding": "b-again"}), "password", pending_user=ALICE)
    given(*run_before(LOG_IN, PROVED, device, again)).when(answer()).then(
        "stage.passed", "stage.passed", event("session.logged_in", login={"methods": ("password", "device")}), *ENDS, orders=ORDER
    )


def test_the_login_that_the_browser_had_is_replaced() -> None:
    given(*run_before(LOG_IN, PROVED, user=ALICE)).when(answer()).then(
        "stage.passed", "stage.passed", event("session.logged_in", replaced=LOGIN.login), *ENDS, orders=ORDER
    )


def test_who_may_be_remembered_is_asked() -> None:
    given(*run_before(ASKING, PROVED)).when(answer()).then(
        "stage.passed", event("stage.challenged", view={"component": "ak-stage-user-login", "person": "alice"})
    )


@pytest.mark.parametrize(("remember", "hours"), [(True, 3), (False, 1)])
def test_to_be_remembered_makes_it_longer(remember: bool, hours: int) -> None:
    lasts_us = hours * 3600 * SECOND
    given(*run_at(ASKING, PROVED)).when(answer(body={"remember_me": remember})).then(
        "stage.passed",
        event("session.logged_in", login={"expires_us": NOW_US + SECOND + lasts_us, "persistent": True}),
        *ENDS,
        orders=ORDER,
    )


def test_an_answer_that_does_not_say_is_refused_and_nothing_of_it_written() -> None:
    given(*run_at(ASKING, PROVED)).when(answer()).offers(
        event("answer.refused", errors={"remember_me": ({"string": "This field is required.", "code": "required"},)}), "stage.challenged"
    )


@pytest.mark.parametrize("context", [{}, {"pending_user": ALICE.model_dump()}], ids=["nobody", "a context that only says so"])
def test_nobody_is_not_logged_in(context: dict[str, object]) -> None:
    given(*run_before(LOG_IN, context=context)).when(answer()).then("stage.passed", event("run.denied", reason="denied"))


@pytest.mark.parametrize("asks", [LOG_IN, ASKING], ids=["silent", "asking"])
@pytest.mark.parametrize("user", [None, ALICE], ids=["nobody", "by a login from before"])
@pytest.mark.parametrize("about", [ALICE, PRETENDED, DISABLED], ids=["known", "unknown", "disabled"])
def test_without_evidence_everybody_gets_the_same_and_nothing_is_ordered(
    about: UserFacts, user: UserFacts | None, asks: PlannedStage
) -> None:
    typed = passed(stage("dummy"), user=about, pending_user=about)
    given(*run_before(asks, typed, user=user)).when(answer()).then(
        "stage.passed",
        event("run.denied", reason="no_evidence", view={"message": "Nothing here has shown that you are who you say you are."}),
    )


def test_evidence_of_more_than_an_hour_ago_is_too_old() -> None:
    given(*run_before(LOG_IN, PROVED)).when(answer(at_us=NOW_US + 3601 * SECOND)).then(
        "stage.passed", event("run.denied", reason="evidence_too_old")
    )


def test_it_may_grow_too_old_while_the_visitor_is_asked() -> None:
    given(*run_at(ASKING, PROVED)).when(answer(body={"remember_me": True}, at_us=NOW_US + 3601 * SECOND)).then(
        event("run.denied", reason="evidence_too_old")
    )


def test_the_disabled_are_denied_with_all_their_evidence() -> None:
    proved = passed(stage("password", PASSWORD), "password", DISABLED, pending_user=DISABLED)
    given(*run_before(LOG_IN, proved)).when(answer()).then("stage.passed", event("run.denied", reason="denied"))


def test_without_a_proof_only_where_the_stage_says_so() -> None:
    claimed = passed(stage("dummy"), pending_user=ALICE, auth_method="password")
    given(*run_before(stage("user_login", {"allow_unauthenticated": True}), claimed)).when(answer()).then(
        "stage.passed", "stage.passed", event("session.logged_in", login={"methods": ()}), *ENDS, orders=ORDER
    )


def test_a_name_that_nobody_has_is_an_error_even_then() -> None:
    typed = passed(stage("dummy"), user=PRETENDED, pending_user=PRETENDED)
    given(*run_before(stage("user_login", {"allow_unauthenticated": True}), typed)).when(answer()).then(
        "stage.passed", event("stage.challenged", view={"kind": "error"})
    )
