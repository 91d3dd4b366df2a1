"""The deny stage: whoever comes to it is denied."""

import pytest

from tests.unit.decisions.given import given
from tests.unit.decisions.words import answer, event, run_before
from tests.unit.executor.world import stage


@pytest.mark.parametrize(
    ("configured", "context", "told"),
    [
        ("", {}, "Unknown error"),
        ("Not you", {}, "Not you"),
        ("Not you", {"deny_message": "A policy says no"}, "A policy says no"),
        ("Not you", {"deny_message": 5}, "Not you"),
    ],
)
def test_it_denies_in_its_own_words_or_in_those_of_a_policy(configured: str, context: dict[str, object], told: str) -> None:
    given(*run_before(stage("deny", {"deny_message": configured}), context=context)).when(answer()).then(
        "stage.passed", event("run.denied", reason="denied", view={"message": told})
    )
