"""The verdict table: three values, modes, negation, `failure_result`, users and groups."""

import itertools

import pytest

from services.policy.domain.verdicts import MAX_MESSAGES, bounded, combined, decided, erred, membership
from shared.contracts.definitions import Mode, PolicyBinding
from shared.contracts.people import GroupFacts, UserFacts
from shared.contracts.policy import Outcome
from shared.flows.policy import Decision, PolicyError
from tests.unit.flows.stories import ALICE, NOBODY

STAFF = ALICE.model_copy(update={"groups": (GroupFacts(pk="g-1", name="staff"), GroupFacts(pk="g-0", name="everyone"))})


@pytest.mark.parametrize(
    ("mode", "outcomes", "verdict"),
    [
        ("any", (), "pass"),
        ("all", (), "pass"),
        ("any", ("fail", "pass"), "pass"),
        ("all", ("fail", "pass"), "fail"),
        ("any", ("fail", "fail"), "fail"),
        ("all", ("pass", "pass"), "pass"),
        ("any", ("error", "pass"), "pass"),
        ("any", ("error", "fail"), "error"),
        ("all", ("error", "pass"), "error"),
        ("all", ("error", "fail"), "fail"),
        ("any", ("error",), "error"),
        ("all", ("error",), "error"),
    ],
)
def test_what_bindings_come_to_together(mode: Mode, outcomes: tuple[Outcome, ...], verdict: Outcome) -> None:
    assert combined(mode, outcomes) == verdict


@pytest.mark.parametrize("mode", ["any", "all"])
def test_an_error_never_decides_what_its_answer_could_have_decided_otherwise(mode: Mode) -> None:
    values: tuple[Outcome, ...] = ("pass", "fail", "error")
    decisions: tuple[Outcome, ...] = ("pass", "fail")
    for outcomes in itertools.product(values, repeat=3):
        possible = {
            combined(mode, tuple(answer if value == "error" else value for value, answer in zip(outcomes, answers, strict=True)))
            for answers in itertools.product(decisions, repeat=3)
        }
        verdict = combined(mode, outcomes)
        assert possible == {verdict} if verdict != "error" else possible == {"pass", "fail"}


@pytest.mark.parametrize(
    ("passing", "negate", "outcome"), [(True, False, "pass"), (False, False, "fail"), (True, True, "fail"), (False, True, "pass")]
)
def test_negation_turns_the_answer_and_keeps_the_messages(passing: bool, negate: bool, outcome: Outcome) -> None:
    result = decided(PolicyBinding(pk="b", order=0, negate=negate, policy="hash"), Decision(passing, ("m",)))
    assert (result.outcome, result.messages, result.policy) == (outcome, ("m",), "hash")


@pytest.mark.parametrize("negate", [True, False])
def test_an_error_is_neither_negated_nor_told(negate: bool) -> None:
    result = erred(PolicyBinding(pk="b", order=0, negate=negate, policy="h"), PolicyError("timeout", "secret detail"))
    assert (result.outcome, result.messages, result.reason, result.failure_result_used) == ("error", (), "timeout", False)


@pytest.mark.parametrize("negate", [True, False])
def test_failure_result_makes_an_error_a_pass_and_says_so(negate: bool) -> None:
    result = erred(PolicyBinding(pk="b", order=0, negate=negate, failure_result=True, policy="h"), PolicyError("crash"))
    assert (result.outcome, result.reason, result.failure_result_used) == ("pass", "crash", True)


def test_no_setting_makes_an_error_a_fail() -> None:
    flags = itertools.product((True, False), repeat=2)
    bindings = [PolicyBinding(pk="b", order=0, negate=n, failure_result=f, policy="h") for n, f in flags]
    assert "fail" not in {erred(binding, PolicyError("memory")).outcome for binding in bindings}


@pytest.mark.parametrize(
    ("user", "negate", "outcome"),
    [
        (ALICE, False, "pass"),
        (ALICE, True, "fail"),
        (None, False, "fail"),
        (None, True, "pass"),
        (NOBODY, False, "fail"),
        (NOBODY, True, "pass"),
    ],
)
def test_a_user_binding(user: UserFacts | None, negate: bool, outcome: Outcome) -> None:
    binding = PolicyBinding(pk="b", order=0, negate=negate, user=7)
    assert decided(binding, membership(binding, user)).outcome == outcome


@pytest.mark.parametrize(
    ("user", "group", "negate", "outcome"),
    [
        (STAFF, "g-1", False, "pass"),
        (STAFF, "g-0", False, "pass"),
        (STAFF, "g-2", False, "fail"),
        (STAFF, "staff", False, "fail"),
        (STAFF, "g-1", True, "fail"),
        (STAFF, "g-2", True, "pass"),
        (NOBODY, "g-1", False, "fail"),
        (None, "g-1", False, "fail"),
        (None, "g-1", True, "fail"),
    ],
)
def test_a_group_binding_counts_groups_by_pk_and_never_passes_for_nobody(
    user: UserFacts | None, group: str, negate: bool, outcome: Outcome
) -> None:
    binding = PolicyBinding(pk="b", order=0, negate=negate, group=group)
    assert decided(binding, membership(binding, user)).outcome == outcome


def test_too_many_words_are_left_out_and_do_not_cost_the_answer() -> None:
    half = "x" * (MAX_MESSAGES // 2)
    results = [decided(PolicyBinding(pk=f"b-{n}", order=n, policy="h"), Decision(n > 1, (half[:4096],) * 4)) for n in range(4)]
    kept = bounded(results)
    assert [len(result.messages) for result in kept] == [4, 4, 0, 0]
    assert [result.outcome for result in kept] == ["fail", "fail", "pass", "pass"]
