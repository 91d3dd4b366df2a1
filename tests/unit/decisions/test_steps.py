"""What a step comes to, whatever the stages are: begun, gone on with, old, foreign, taken back, given up, over."""

from typing import Any
from urllib.parse import quote

import pytest

from services.executor.sessions.lifetime import HOUR
from services.executor.sessions.session import MAX_TRANSITIONS
from services.executor.sessions.views import REFUSED_TARGET
from shared.contracts import sessions as s
from shared.contracts.planner import PlanRefused
from shared.contracts.steps import Page, Shown, challenge_digest
from shared.flows.stage import Denied, StageFailed
from shared.flows.stage_types.password import PasswordStage
from tests.unit.decisions.around import Around
from tests.unit.decisions.given import Came, Session, given
from tests.unit.decisions.words import (
    LOGIN,
    NOW_US,
    RUN,
    SECOND,
    SESSION,
    answer,
    cancel,
    challenged,
    event,
    passed,
    run_at,
    run_before,
    run_started,
    start,
)
from tests.unit.executor.world import ALICE, LOGIN_STAGES, flow, stage

NAME, PASSWORD, _ = LOGIN_STAGES
DUMMY = stage("dummy")
APP, LONG = "next=/app/%3Fa%3D1", "/" + "%C3%A4" * 682 + "abc"
ASKS_WRONGLY = stage("password", {"backends": ()}, action="restart")


def page_of(came: Came) -> Page:
    """What the page of a start that was offered says of itself."""
    run = came.handled.decision.current  # type: ignore[union-attr]
    digest = challenge_digest(came.offers("session.started", "run.started", "stage.challenged"))
    return Page(
        run=run.run,
        login="",
        binding=run.stages[0].binding,
        challenge=digest,
        at_us=came.step.received_us,
        address=came.step.address,
        user_agent="",
    )


# --- to begin ---


def test_a_start_is_offered_and_nothing_of_it_written() -> None:
    view = given(around=Around({"login": LOGIN_STAGES})).when(start()).offers("session.started", "run.started", "stage.challenged")
    assert view.component == "ak-stage-identification"


def test_the_first_answer_decides_start_and_answer_in_one() -> None:
    nobody = given(around=Around({"login": LOGIN_STAGES}))
    page = page_of(nobody.when(start()))
    nobody.when(answer(body={"uid_field": "alice"}, page=page.model_dump())).then(
        "session.started", event("run.started", run=page.run, asked_us=page.at_us), "stage.challenged", "stage.passed", "stage.challenged"
    )


@pytest.mark.parametrize("other", [{"challenge": "another"}, {"binding": "another"}, {"login": "another"}])
def test_of_a_page_that_is_another_by_now_nothing_is_delivered(other: dict[str, str]) -> None:
    nobody = given(around=Around({"login": LOGIN_STAGES}))
    page = page_of(nobody.when(start())).model_copy(update=other)
    nobody.when(answer(body={"uid_field": "alice"}, page=page.model_dump())).offers("session.started", "run.started", "stage.challenged")


def test_an_answer_without_a_run_begins_one_and_is_given_to_it() -> None:
    given(around=Around({"login": LOGIN_STAGES})).when(answer(body={"uid_field": "alice"})).then(
        "session.started", "run.started", "stage.challenged", "stage.passed", "stage.challenged"
    )


def test_a_flow_that_asks_nothing_of_nobody_is_over_and_not_written() -> None:
    around = Around({"login": (stage("deny"),)})
    given(around=around).when(start()).offers("session.started", "run.started", event("run.denied", reason="denied"))


def test_for_somebody_it_is_written() -> None:
    around = Around({"out": (stage("user_logout"),)})
    given(s.SessionStarted(), s.LoggedIn(login=LOGIN), s.SessionRotated(why="login"), around=around).when(start("out")).then(
        "run.started",
        "stage.passed",
        "session.logged_out",
        "run.finished",
        "session.rotated",
        "session.ended",
        orders=["directory.login.end"],
    )


@pytest.mark.parametrize(
    ("reason", "action", "outer", "query", "ends"),
    [
        ("not_applicable", "message_continue", None, "", event("run.denied", view={"message": "not you"})),
        ("not_applicable", "message_continue", "/x", "", event("run.finished", view={"to": "/x"})),
        ("not_applicable", "message", "/x", "", event("run.denied", view={"message": "not you"})),
        ("not_applicable", "continue", "/x", "next=/y", event("run.finished", view={"to": "/x"})),
        ("not_applicable", "continue", None, "next=/y", event("run.finished", view={"to": "/y"})),
        ("not_applicable", "continue", "//evil", "next=//evil", event("run.finished", view={"to": "/"})),
        ("empty", "message", None, "next=/y", event("run.finished", view={"to": "/y"})),
        ("too_long", "continue", "/x", "", event("run.denied", reason="too_long", view={"kind": "error"})),
    ],
)
def test_who_gets_no_plan_is_told_or_sent_on(reason: str, action: str, outer: str | None, query: str, ends: Any) -> None:
    around = Around()
    refusal = {"request": "r", "session": SESSION, "run": RUN, "digest": "", "reason": reason, "messages": ("not you",)}
    around.planner.refusals["f"] = PlanRefused.model_validate({**refusal, "flow": flow("f", denied_action=action).model_dump()})
    given(around=around).when(start("f", outer_next=outer, query=query)).offers("session.started", "run.refused", ends)


# --- to go on ---


def test_a_reload_shows_the_run_as_it_is() -> None:
    view = given(*run_at(DUMMY)).when(start()).shows_again()
    assert view
    assert view.component == "ak-stage-dummy"


def test_a_reload_tries_a_stage_again_that_could_not_do_its_work() -> None:
    broken = (s.SessionStarted(), run_started(DUMMY), challenged(DUMMY, kind="error"))
    for step in (start(), answer()):
        given(*broken).when(step).then(event("stage.challenged", view={"component": "ak-stage-dummy"}))


def test_an_answer_to_an_older_transition_counts_nothing() -> None:
    now = given(*run_at(NAME, more=(PASSWORD,))).when(answer(body={"uid_field": "alice"})).then("stage.passed", "stage.challenged")
    old = Shown(run=RUN, transition="of-before", version=1)
    view = now.when(answer(body={"uid_field": "bob"}, shown=old)).shows_again()
    assert view
    assert view.component == "ak-stage-password"


def test_an_answer_to_another_session_is_not_delivered() -> None:
    around = Around({"login": LOGIN_STAGES})
    foreign = Shown(run="run-of-another", transition="of-another", version=1)
    given(*run_at(NAME), around=around).when(answer(body={"uid_field": "alice"}, shown=foreign)).offers("run.started", "stage.challenged")


@pytest.mark.parametrize(
    ("verdict", "ends"), [("fail", ["stage.skipped", "run.finished"]), ("pass", ["stage.guarded", "stage.challenged"])]
)
def test_a_guard_that_says_no_leaves_its_stage_out(verdict: str, ends: list[str]) -> None:
    around = Around()
    around.policy.verdicts["b-dummy"] = verdict
    given(*run_before(stage("dummy", guarded=True)), around=around).when(answer()).then("stage.passed", *ends)


def test_an_error_is_not_a_no() -> None:
    around = Around()
    around.policy.verdicts["b-dummy"] = "error"
    given(*run_before(stage("dummy", guarded=True)), around=around).when(answer()).then(
        "stage.passed", event("stage.guarded", verdict={"outcome": "error"}), "stage.challenged"
    )


def test_what_guarded_somebody_once_stays_whatever_its_guard_says_then() -> None:
    guarded = stage("dummy", guarded=True)
    around = Around({"login": (guarded, ASKS_WRONGLY)})
    once = given(*run_before(guarded, pending_user=ALICE, more=(ASKS_WRONGLY,)), around=around)
    once = (
        once.when(answer())
        .then("stage.passed", "stage.guarded", "stage.challenged")
        .when(answer())
        .then("stage.passed", "stage.challenged")
    )
    around.policy.verdicts["b-dummy"] = "fail"
    again = once.when(answer(body={"password": "x"})).then(
        "session.counted",
        "answer.refused",
        "run.replanned",
        "stage.skipped",
        event("stage.challenged", view={"component": "ak-stage-password"}),
    )
    assert around.planner.asked[-1].obligations == ("b-dummy",)
    assert again.run.context == {}


def test_a_refused_answer_starts_over_without_what_was_known() -> None:
    around = Around({"login": (DUMMY, ASKS_WRONGLY)})
    then = given(*run_at(ASKS_WRONGLY, pending_user=ALICE), around=around).when(answer(body={"password": "x"})).then(
        "session.counted", "answer.refused", event("run.replanned", pending_user=None), event("stage.challenged", view={"component": "ak-stage-dummy"})
    )  # fmt: skip
    assert (then.run.run, then.run.context) == (RUN, {})


def test_or_with_it() -> None:
    keeping = ASKS_WRONGLY.model_copy(update={"invalid_response_action": "restart_with_context"})
    around = Around({"login": (DUMMY,)})
    given(*run_at(keeping, pending_user=ALICE), around=around).when(answer(body={"password": "x"})).then(
        "session.counted", "answer.refused", event("run.replanned", pending_user={"pk": 7}), "stage.challenged"
    )


def test_what_the_refused_answer_said_is_known_then_too() -> None:
    asks = stage("identification", {"user_fields": ("username",), "pretend_user_exists": False}, action="restart_with_context")
    around = Around({"login": (asks,)})
    given(*run_at(asks), around=around).when(answer(body={"uid_field": "nobody"})).then(
        "answer.refused", event("run.replanned", pending_user={"username": "nobody"}), "stage.challenged"
    )
    about = around.planner.asked[-1].pending_user
    assert about
    assert about.username == "nobody"


@pytest.mark.parametrize(
    ("trouble", "ends"), [(StageFailed("broken"), event("stage.challenged", view={"kind": "error"})), (Denied("no more"), "run.denied")]
)
def test_a_stage_that_asks_no_more_after_a_wrong_answer_still_counts_it(trouble: Any, ends: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asks_no_more(*_: Any) -> Denied:
        if isinstance(trouble, Exception):
            raise trouble
        return Denied("no more")

    monkeypatch.setattr(PasswordStage, "challenge", asks_no_more)
    then = (
        given(*run_at(PASSWORD, pending_user=ALICE)).when(answer(body={"password": "nope"})).then("session.counted", "answer.refused", ends)
    )
    assert then.state.counters == {"password_failures": 1}


def test_a_denial_starts_over_too_but_only_once_a_step() -> None:
    denies = stage("deny", action="restart")
    given(*run_before(denies), around=Around({"login": (denies,)})).when(answer()).then("stage.passed", "run.replanned", "run.denied")


def test_who_starts_over_after_a_denial_is_asked_once() -> None:
    denies = stage("deny", action="restart")
    given(*run_before(denies), around=Around({"login": (DUMMY, denies)})).when(answer()).then(
        "stage.passed", "run.replanned", "stage.challenged"
    )


def test_a_restart_that_is_refused_says_so() -> None:
    around = Around()
    refusal = {"request": "r", "session": SESSION, "run": RUN, "digest": "", "reason": "not_applicable", "messages": ("not you",)}
    around.planner.refusals["login"] = PlanRefused.model_validate({**refusal, "flow": flow("login").model_dump()})
    given(*run_at(ASKS_WRONGLY, pending_user=ALICE), around=around).when(answer(body={"password": "x"})).then(
        "session.counted", "answer.refused", "run.refused", event("run.denied", view={"message": "not you"})
    )


# --- to end ---


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ("", {"to": "/"}), ("next=/x", {"to": "/x"}), ("next=/one&next=/two", {"to": "/two"}), ("next=", {"kind": "denied", "message": "Invalid next URL"}),
        ("next=//evil", {"kind": "denied", "message": "Invalid next URL"}), ("next=evil", {"kind": "error"}), ("next=/..//evil", {"to": "/"}),
    ],
)  # fmt: skip
def test_the_end_leads_where_the_query_of_the_last_step_says(query: str, view: dict[str, str]) -> None:
    ended = "run.finished" if "to" in view else "run.denied"
    came = given(*run_at(DUMMY)).when(answer(query=query))
    came.then("stage.passed", event(ended, view=view))


@pytest.mark.parametrize(
    ("query", "to", "told"),
    [
        (APP, "/app/?a=1", ""), ("next=%2Fapp%2F%3Fa%3D1", "/app/?a=1", ""), (f"x=y&next=/elsewhere/&{APP}", "/app/?a=1", ""),
        ("next=/%2f%2fevil.example", "/", REFUSED_TARGET), ("next=/\\evil.example", "/", REFUSED_TARGET), ("next=/a/../b", "/", REFUSED_TARGET),
        ("next=/" + "a" * 4096, "/", REFUSED_TARGET), ("next=/" + "a" * 4095, "/" + "a" * 4095, ""), ("next=" + quote(LONG, safe=""), LONG, ""),
    ],
)  # fmt: skip
def test_a_log_out_goes_on_there_too_and_says_what_it_left_out(query: str, to: str, told: str) -> None:
    given(*run_before(stage("user_logout"), user=ALICE)).when(answer(query=query)).then(
        "stage.passed", "stage.passed", "session.logged_out", event("run.finished", view={"to": to, "message": told}), "session.rotated",
        "session.ended", orders=["directory.login.end"],
    )  # fmt: skip


def test_a_run_goes_on_with_the_login_that_it_made_itself() -> None:
    proved = passed(PASSWORD, "password", pending_user=ALICE)
    logged_in = given(*run_at(DUMMY, proved, user=ALICE, more=(stage("user_login"), stage("dummy")))).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_in", "stage.challenged", "session.rotated", orders=["directory.login.start"]
    )  # fmt: skip
    logged_in.when(answer()).then("stage.passed", "run.finished")


def test_other_flows_go_on_when_one_was_taken_back() -> None:
    around = Around()
    around.retirements.flows.add("another")
    given(*run_at(DUMMY), around=around).when(answer()).then("stage.passed", "run.finished")


def test_a_run_whose_definitions_were_taken_back_ends_and_nothing_is_delivered() -> None:
    around = Around()
    around.retirements.flows.add("login")
    for step in (start(), answer(body={"password": "secret"})):
        came = given(*run_at(PASSWORD, pending_user=ALICE), around=around).when(step)
        assert came.asked == []
        assert came.then(event("run.cancelled", reason="retired")).run.over == "cancelled"


@pytest.mark.parametrize("login", [None, LOGIN.model_copy(update={"login": "another"}).model_dump()], ids=["nobody", "another"])
def test_a_run_that_was_planned_for_a_login_goes_on_with_no_other_and_not_without(login: Any) -> None:
    for step in (start(login=login), answer(login=login)):
        given(*run_at(DUMMY, user=ALICE, designation="stage_configuration")).when(step).then(event("run.cancelled", reason="login_over"))


def test_a_tab_whose_visitor_has_logged_in_elsewhere_goes_to_its_target() -> None:
    waiting = (*run_at(NAME), s.LoggedIn(login=LOGIN), s.SessionRotated(why="login"))
    for step in (start(query="next=/x"), answer(query="next=/x", body={"uid_field": "bob"})):
        tab = given(*waiting)
        tab = Session(
            tab.state.model_copy(update={"runs": tuple(run.model_copy(update={"login": None}) for run in tab.state.runs)}), tab.around
        )
        tab.when(step).then(event("run.finished", view={"to": "/x"}))


def test_a_cancel_ends_all_open_runs_and_keeps_the_counters() -> None:
    runs = (*run_at(DUMMY), run_started(DUMMY, slug="other", run="run-2"), s.CounterSet(name="password_failures", value=3))
    then = given(*runs).when(cancel()).then(event("run.cancelled", run=RUN), event("run.cancelled", run="run-2"))
    assert then.state.counters == {"password_failures": 3}
    assert then.when(cancel()).shows_again() is None


def test_the_ninth_open_run_ends_the_one_that_was_left_alone_longest() -> None:
    runs = tuple(e for n in range(8) for e in (run_started(DUMMY, slug=f"f{n}", run=f"run-{n}"), challenged(DUMMY, f"run-{n}")))
    given(s.SessionStarted(), *runs, around=Around({"login": LOGIN_STAGES})).when(answer(body={"uid_field": "alice"})).then(
        "run.started", "stage.challenged", "stage.passed", "stage.challenged", event("run.cancelled", run="run-0", reason="too_many")
    )


def test_a_log_out_ends_all_other_runs_at_once() -> None:
    other = (run_started(DUMMY, slug="other", run="run-0"), challenged(DUMMY, "run-0"))
    first, *rest = run_before(stage("user_logout"), user=ALICE)
    given(first, *other, *rest).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_out", "run.finished", "session.rotated", event("run.cancelled", run="run-0", reason="logged_out"),
        "session.ended", orders=["directory.login.end"],
    )  # fmt: skip


def logging_in(**config: Any) -> Session:
    """A session whose last transition ordered a log-in."""
    proved, login = passed(PASSWORD, "password", pending_user=ALICE), stage("user_login", config)
    return given(*run_at(DUMMY, proved, more=(login,))).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_in", "run.finished", "session.rotated", orders=["directory.login.start"]
    )  # fmt: skip


@pytest.mark.parametrize("reason", ["user_gone", "user_disabled", "epoch_over", "failed"])
def test_a_log_in_that_was_refused_denies_and_ends_the_session(reason: str) -> None:
    then = logging_in().when_an_order_is_refused(reason).then(
        "session.logged_out", event("session.rotated", why="logout"), event("run.denied", reason=reason, view={"message": "Unknown error"}),
        event("session.ended", reason="order_refused"),
    )  # fmt: skip
    assert then.state.login is None
    then.when(start()).stops("refused", "session_over", session_over=True)


def test_a_log_out_that_was_refused_denies_too() -> None:
    after = given(*run_before(stage("user_logout"), user=ALICE, more=(DUMMY,))).when(answer()).then(
        "stage.passed", "stage.passed", "session.logged_out", "stage.challenged", "session.rotated", orders=["directory.login.end"]
    )  # fmt: skip
    after.when_an_order_is_refused("failed").then("run.denied", event("session.ended", reason="order_refused"))


@pytest.mark.parametrize("reason", ["expired", "too_many"])
def test_a_session_that_nobody_ends_ends_with_all_its_runs(reason: str) -> None:
    runs = (*run_at(DUMMY), run_started(DUMMY, slug="other", run="run-2"))
    then = given(*runs).when_it_is_ended(reason).then(
        event("run.cancelled", run=RUN, reason=reason), event("run.cancelled", run="run-2"), event("session.ended", reason=reason)
    )  # fmt: skip
    then.when(start()).stops("refused", "session_over", session_over=True)


# --- not to be taken ---


def test_an_older_cookie_is_superseded_and_after_30_s_its_session_over() -> None:
    rotated = given(*run_at(DUMMY), s.SessionRotated(why="secret"))
    rotated.when(start(rotation=0)).stops("superseded", "rotation", session_over=False)
    rotated.when(start(rotation=0, at_us=NOW_US + 31 * SECOND)).stops("superseded", "rotation", session_over=True)


@pytest.mark.parametrize("ended", [True, False])
def test_a_session_that_is_over_takes_nothing(ended: bool) -> None:
    end = (s.SessionEnded(reason="logged_out"),) if ended else ()
    given(*run_at(DUMMY), *end).when(start(at_us=NOW_US + SECOND if ended else NOW_US + HOUR)).stops(
        "refused", "session_over", session_over=True
    )


def test_a_session_that_is_full_takes_nothing() -> None:
    full = given(*run_at(DUMMY))
    full = Session(full.state.model_copy(update={"transitions": MAX_TRANSITIONS - 2}), full.around)
    full.when(answer()).stops("refused", "session_full", session_over=True)


# --- what is proved ---


def test_a_proof_without_a_secret_rotates_and_one_of_another_user_does_not_stay() -> None:
    bob = ALICE.model_copy(update={"pk": 8, "uid": "uid-bob", "username": "bob"})
    proved = given(*run_at(NAME, passed(PASSWORD, "password", bob, pending_user=bob)))
    assert [one.user for one in proved.run.evidence] == [8]
    then = proved.when(answer(body={"uid_field": "alice"})).then("stage.passed", "run.finished")
    assert then.run.evidence == ()
