"""Evidence of a run: kept for the pending user, gone with them (architecture §4.8)."""

from typing import Any

import pytest

from services.executor.sessions.run import evolve_run, left
from shared.contracts.evidence import Evidence
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import Plan
from shared.contracts.sessions import AnswerRefused, RunCancelled, RunReplanned, StageChallenged, StagePassed
from shared.contracts.states import RunState
from shared.contracts.steps import View
from tests.unit.executor.world import ALICE, BRAND, LOGIN_STAGES, flow

PLAN = Plan(flow=flow("login"), definition="h", brand=BRAND, stages=LOGIN_STAGES)
BOB = ALICE.model_copy(update={"pk": 8, "uid": "uid-bob", "username": "bob"})


def evidence(user: Any = ALICE, proves: str = "password", **changes: Any) -> Evidence:
    return Evidence(
        session="s", run="r", binding="b-password", version=2, subject=user.uid, method="password", at_us=1, proves=proves, user=user.pk,
        epoch=user.epoch,
    ).model_copy(update=changes)  # fmt: skip


def run(user: UserFacts | None = None, *known: Evidence) -> RunState:
    return RunState(
        run="r",
        flow="login",
        plan=PLAN,
        visitor=Visitor(),
        stages=LOGIN_STAGES,
        pending_user=user,
        evidence=known,
    )


def passed(proof: Evidence, user: UserFacts | None = None, **context: Any) -> StagePassed:
    return StagePassed(run="r", binding=proof.binding, evidence=proof, pending_user=user, context=context)


def refused(user: UserFacts | None) -> AnswerRefused:
    return AnswerRefused(run="r", binding="b", errors={}, pending_user=user)


PROVED = run(ALICE, evidence())


def test_a_proof_is_kept_and_what_proves_nothing_is_not() -> None:
    assert evolve_run(run(ALICE), passed(evidence())).evidence == (evidence(),)
    assert evolve_run(run(ALICE), passed(evidence(proves=""))).evidence == ()
    assert evolve_run(PROVED, passed(evidence(proves="", binding="b-dummy"))).evidence == (evidence(),)


def test_a_proof_that_comes_with_its_user_is_kept_and_those_before_are_not() -> None:
    after = evolve_run(PROVED, passed(evidence(BOB), BOB))
    assert after.evidence == (evidence(BOB),)


def test_of_one_binding_the_newest_is_kept() -> None:
    again = evidence(version=9)
    assert evolve_run(PROVED, passed(again)).evidence == (again,)
    device = evidence(proves="device", binding="b-device")
    assert evolve_run(PROVED, passed(device)).evidence == (evidence(), device)


CHANGED: dict[str, UserFacts] = {
    "somebody else": BOB,
    "a number given again": ALICE.model_copy(update={"uid": "uid-another"}),
    "a new password": ALICE.model_copy(update={"epoch": 1}),
    "a name that nobody has": ALICE.model_copy(update={"pk": None, "uid": ""}),
}


@pytest.mark.parametrize("user", CHANGED.values(), ids=CHANGED)
def test_evidence_falls_with_the_pending_user_by_whatever_means(user: UserFacts) -> None:
    nothing = evidence(proves="", binding="b-2")
    for event in (passed(nothing, user), refused(user), RunReplanned(run="r", plan=PLAN, pending_user=user)):
        after = evolve_run(PROVED, event)
        assert (after.pending_user, after.evidence) == (user, ())


@pytest.mark.parametrize("event", [passed(evidence(proves="", binding="b-2"), typed="x"), refused(None)])
def test_an_event_that_names_nobody_leaves_the_run_about_whom_it_was(event: StagePassed | AnswerRefused) -> None:
    after = evolve_run(PROVED, event)
    assert (after.pending_user, after.evidence) == (ALICE, PROVED.evidence)


def test_what_a_context_says_of_a_pending_user_makes_nobody_one() -> None:
    after = evolve_run(PROVED, passed(evidence(proves="", binding="b-2"), pending_user=BOB.model_dump()))
    assert (after.pending_user, after.evidence) == (ALICE, PROVED.evidence)


def test_it_does_not_come_back_with_the_user() -> None:
    assert evolve_run(evolve_run(PROVED, refused(BOB)), refused(ALICE)).evidence == ()


def test_a_restart_keeps_it_only_with_its_user() -> None:
    assert evolve_run(PROVED, RunReplanned(run="r", plan=PLAN, pending_user=ALICE)).evidence == PROVED.evidence
    after = evolve_run(PROVED, RunReplanned(run="r", plan=PLAN))
    assert (after.pending_user, after.evidence) == (None, ())


def test_what_is_known_of_the_same_user_may_change() -> None:
    richer = passed(evidence(proves="", binding="b-2"), ALICE.model_copy(update={"backend": "b", "name": "Alice B."}), auth_method="x")
    assert evolve_run(PROVED, richer).evidence == PROVED.evidence


def test_a_log_out_and_the_end_take_it() -> None:
    view = View(kind="denied", flow=flow("login"), title="", component="")
    assert evolve_run(PROVED, StageChallenged(run="r", binding="b", view=view)).evidence == PROVED.evidence
    assert left(PROVED).evidence == ()
    assert evolve_run(PROVED, RunCancelled(run="r", reason="x")).evidence == ()
