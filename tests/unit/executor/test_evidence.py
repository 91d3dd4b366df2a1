"""Evidence of a run: kept for the pending user, gone with them (architecture §4.8)."""

from typing import Any

import pytest

from services.executor.sessions.run import evolve_run, left
from shared.contracts.evidence import Evidence
from shared.contracts.people import Visitor
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


def run(context: dict[str, Any] | None = None, *known: Evidence) -> RunState:
    return RunState(
        run="r",
        flow="login",
        plan=PLAN,
        visitor=Visitor(),
        stages=LOGIN_STAGES,
        context=context or {},
        evidence=known,
    )


def about(user: Any, **more: Any) -> dict[str, Any]:
    return {"pending_user": user.model_dump(), **more}


def passed(proof: Evidence, context: dict[str, Any] | None = None) -> StagePassed:
    return StagePassed(run="r", binding=proof.binding, evidence=proof, context=context or {})


PROVED = run(about(ALICE), evidence())


def test_a_proof_is_kept_and_what_proves_nothing_is_not() -> None:
    assert evolve_run(run(about(ALICE)), passed(evidence())).evidence == (evidence(),)
    assert evolve_run(run(about(ALICE)), passed(evidence(proves=""))).evidence == ()
    assert evolve_run(PROVED, passed(evidence(proves="", binding="b-dummy"))).evidence == (evidence(),)


def test_a_proof_that_comes_with_its_user_is_kept_and_those_before_are_not() -> None:
    after = evolve_run(PROVED, passed(evidence(BOB), about(BOB)))
    assert after.evidence == (evidence(BOB),)


def test_of_one_binding_the_newest_is_kept() -> None:
    again = evidence(version=9)
    assert evolve_run(PROVED, passed(again)).evidence == (again,)
    device = evidence(proves="device", binding="b-device")
    assert evolve_run(PROVED, passed(device)).evidence == (evidence(), device)


CHANGED: dict[str, dict[str, Any]] = {
    "somebody else": about(BOB),
    "a number given again": about(ALICE.model_copy(update={"uid": "uid-another"})),
    "a new password": about(ALICE.model_copy(update={"epoch": 1})),
    "a name that nobody has": about(ALICE.model_copy(update={"pk": None, "uid": ""})),
    "nobody": {"pending_user": None},
    "what is no user": {"pending_user": "alice"},
}


@pytest.mark.parametrize("context", CHANGED.values(), ids=CHANGED)
def test_evidence_falls_with_the_pending_user_by_whatever_means(context: dict[str, Any]) -> None:
    nothing = evidence(proves="", binding="b-2")
    assert evolve_run(PROVED, passed(nothing, context)).evidence == ()
    assert evolve_run(PROVED, AnswerRefused(run="r", binding="b-2", errors={}, context=context)).evidence == ()
    assert evolve_run(PROVED, RunReplanned(run="r", plan=PLAN, context={**PROVED.context, **context})).evidence == ()


def test_it_does_not_come_back_with_the_user() -> None:
    somebody_else = evolve_run(PROVED, AnswerRefused(run="r", binding="b", errors={}, context=about(BOB)))
    assert evolve_run(somebody_else, AnswerRefused(run="r", binding="b", errors={}, context=about(ALICE))).evidence == ()


def test_a_restart_keeps_it_only_with_its_context() -> None:
    assert evolve_run(PROVED, RunReplanned(run="r", plan=PLAN, context=PROVED.context)).evidence == PROVED.evidence
    assert evolve_run(PROVED, RunReplanned(run="r", plan=PLAN)).evidence == ()


def test_what_is_known_of_the_same_user_may_change() -> None:
    richer = about(ALICE.model_copy(update={"backend": "b", "name": "Alice B."}), auth_method="password")
    assert evolve_run(PROVED, passed(evidence(proves="", binding="b-2"), richer)).evidence == PROVED.evidence


def test_a_log_out_and_the_end_take_it() -> None:
    view = View(kind="denied", flow=flow("login"), title="", component="")
    assert evolve_run(PROVED, StageChallenged(run="r", binding="b", view=view)).evidence == PROVED.evidence
    assert left(PROVED).evidence == ()
    assert evolve_run(PROVED, RunCancelled(run="r", reason="x")).evidence == ()
