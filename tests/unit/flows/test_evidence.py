"""The rule: what authenticates whom, where and how long, and what each order needs of it."""

from typing import Any, cast, get_args

import pytest

from shared.contracts.evidence import Evidence, Grounds
from shared.contracts.orders import LogIn, Order
from shared.contracts.people import LoginClaims
from shared.flows.evidence import FRESH_US, KINDS, Account, Moment, Need, Proof, counting, lacking
from shared.flows.orders import NEEDS, lack_of
from tests.unit.flows.stories import ALICE, LOGIN, NOBODY, NOW_US, proof_of

ACCOUNT = Account(7, "uid-alice", 3)
NOW = Moment("00.s", "run-1", 5, NOW_US)
GOOD = proof_of(ALICE)
# Anything that differs makes it evidence of something else: another session, run, account or password, or of later than now.
FOREIGN: dict[str, Any] = {
    "session": "01.s", "run": "run-2", "subject": "uid-bob", "user": 8, "epoch": 2, "version": 6, "at_us": NOW_US + 1, "proves": "",
}  # fmt: skip
LOGIN_ORDER = LogIn(login=LOGIN.model_copy(update={"at_us": NOW_US}), session="00.s", run="run-1")


def lack(need: Need, *evidence: Evidence, login: LoginClaims | None = None, unauthenticated: bool = False) -> str:
    return lacking(need, ACCOUNT, Grounds(evidence=evidence, login=login, unauthenticated=unauthenticated), NOW)


def test_evidence_for_this_account_in_this_run_counts() -> None:
    assert lack(Need.PROOF, GOOD) == lack(Need.PROOF_OR_LOGIN, GOOD) == ""
    assert counting((GOOD,), ACCOUNT, NOW) == (GOOD,)


@pytest.mark.parametrize(("field", "value"), FOREIGN.items(), ids=FOREIGN)
def test_evidence_that_differs_in_one_field_counts_for_nothing(field: str, value: Any) -> None:
    foreign = GOOD.model_copy(update={field: value})
    assert lack(Need.PROOF, foreign) == lack(Need.PROOF_OR_LOGIN, foreign) == "no_evidence"
    assert lack_of(LOGIN_ORDER.model_copy(update={"grounds": Grounds(evidence=(foreign,))}), "00.s", 5) == "no_evidence"


@pytest.mark.parametrize("called", ["unknown", "identification", "captcha", "consent", "mfa.not_configured.skip", "PASSWORD", "password "])
def test_only_the_kinds_of_the_table_authenticate(called: str) -> None:
    assert lack(Need.PROOF, GOOD.model_copy(update={"proves": called})) == "no_evidence"
    read = Evidence.model_validate(GOOD.model_dump() | {"proves": called})
    assert read.proves == "unknown"
    assert "unknown" not in KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_the_table_authenticates(kind: str) -> None:
    assert lack(Need.PROOF, Evidence.model_validate(GOOD.model_dump() | {"proves": kind})) == ""


def test_one_piece_has_to_be_under_an_hour_old_for_a_log_in() -> None:
    old = GOOD.model_copy(update={"at_us": NOW_US - FRESH_US})
    just = GOOD.model_copy(update={"at_us": NOW_US - FRESH_US + 1})
    assert (lack(Need.PROOF, old), lack(Need.PROOF, just), lack(Need.PROOF, old, just)) == ("evidence_too_old", "", "")
    assert lack(Need.PROOF_OR_LOGIN, old) == ""


def test_the_login_that_the_run_began_with_counts_for_other_orders_and_never_for_a_log_in() -> None:
    assert lack(Need.PROOF, login=LOGIN) == "no_evidence"
    assert lack(Need.PROOF_OR_LOGIN, login=LOGIN) == ""


@pytest.mark.parametrize("changes", [{"user": 8}, {"uid": "uid-bob"}, {"epoch": 2}, {"expires_us": NOW_US}, {"expires_us": NOW_US - 1}])
def test_a_login_of_somebody_else_or_that_is_over_counts_for_nothing(changes: dict[str, Any]) -> None:
    assert lack(Need.PROOF_OR_LOGIN, login=LOGIN.model_copy(update=changes)) == "no_evidence"


def test_nothing_counts_without_grounds_and_an_administrator_may_waive_it() -> None:
    assert lack(Need.PROOF) == lack(Need.PROOF_OR_LOGIN) == "no_evidence"
    assert lack(Need.PROOF, unauthenticated=True) == lack(Need.PROOF_OR_LOGIN, unauthenticated=True) == lack(Need.NOTHING) == ""


def test_an_order_is_judged_by_its_own_account_where_it_is_done() -> None:
    order = LOGIN_ORDER.model_copy(update={"grounds": Grounds(evidence=(GOOD,))})
    assert lack_of(order, "00.s", 5) == ""
    assert lack_of(order, "00.other", 5) == lack_of(order, "00.s", 0) == "no_evidence"
    bob = order.login.model_copy(update={"user": 8, "uid": "uid-bob"})
    assert lack_of(order.model_copy(update={"login": bob}), "00.s", 5) == "no_evidence"
    assert lack_of(LOGIN_ORDER, "00.s", 5) == "no_evidence"


def test_another_order_on_an_account_takes_either_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast("dict[Any, Need]", NEEDS), LogIn, Need.PROOF_OR_LOGIN)  # as a later stage type's order will
    assert lack_of(LOGIN_ORDER, "00.s", 5) == "no_evidence"
    for grounds in (Grounds(evidence=(GOOD,)), Grounds(login=LOGIN)):
        order = LOGIN_ORDER.model_copy(update={"grounds": grounds})
        assert lack_of(order, "00.s", 5) == ""
        for changes in ({"user": 8}, {"uid": "uid-bob"}, {"epoch": 4}):
            another = order.model_copy(update={"login": order.login.model_copy(update=changes)})
            assert lack_of(another, "00.s", 5) == "no_evidence"


def test_every_order_says_what_it_needs_and_one_on_an_account_carries_its_grounds() -> None:
    orders = get_args(get_args(Order)[0])
    assert set(NEEDS) == set(orders)
    for order in orders:
        assert (NEEDS[order] is Need.NOTHING) != ("grounds" in order.model_fields), order


@pytest.mark.parametrize("user", [NOBODY, ALICE.model_copy(update={"pk": None}), ALICE.model_copy(update={"uid": ""})])
def test_nobody_is_proved_to_be_a_pretended_user(user: Any) -> None:
    with pytest.raises(ValueError, match="proves nobody"):
        Proof("password", user)


def test_a_kind_that_is_none_proves_nobody() -> None:
    with pytest.raises(ValueError, match="proves nobody"):
        Proof("identification", ALICE)  # type: ignore[arg-type]
