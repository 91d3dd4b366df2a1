"""The dummy stage: asks, and passes with any answer; or fails, if it is told to."""

from tests.unit.decisions.given import given
from tests.unit.decisions.words import answer, event, run_at, run_before
from tests.unit.executor.world import stage

DUMMY = stage("dummy")


def test_it_asks() -> None:
    then = given(*run_before(DUMMY)).when(answer()).then("stage.passed", event("stage.challenged", view={"component": "ak-stage-dummy"}))
    assert then.run.view
    assert then.run.view.fields == {"name": "dummy"}


def test_any_answer_passes() -> None:
    given(*run_at(DUMMY)).when(answer(body={"anything": 1})).then(
        event("stage.passed", evidence={"subject": "anonymous", "method": "dummy", "proves": ""}), event("run.finished", view={"to": "/"})
    )


def test_a_broken_one_is_an_error_and_the_run_stays() -> None:
    then = given(*run_before(stage("dummy", {"throw_error": True}))).when(answer()).then(
        "stage.passed", event("stage.challenged", view={"kind": "error", "message": "Test error"})
    )  # fmt: skip
    assert not then.run.over
