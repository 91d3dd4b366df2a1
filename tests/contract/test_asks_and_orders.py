"""What is asked and ordered is part of the contract: typed, in the golden bytes, and brought up to date like all of it."""

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import pytest
from pydantic import ValidationError

from shared.contracts import asks, asyncapi, errors, wire
from shared.contracts.asks import ASKS, Asked, FindUser, PasswordVerified, UserFound, asked
from shared.contracts.codec import Codec
from shared.contracts.kept import keep, kept
from shared.contracts.model import Value
from shared.contracts.orders import LogIn, LogOut, Order, OrderResult, OrdersPerformed
from shared.contracts.people import LoginClaims
from shared.contracts.sessions import SessionAdvanced
from tests.contract.golden_files import example_of, path_of, record_of

PAIRS: tuple[Any, ...] = get_args(get_args(Asked)[0])
ORDERS: tuple[Any, ...] = get_args(get_args(Order)[0])
GOLDEN: dict[str, Any] = wire.unpack(path_of(SessionAdvanced, 1).read_bytes(), 2**20)


def refused(change: Mapping[str, Any]) -> type[errors.BadRecord]:
    with pytest.raises(errors.BadRecord) as bad:
        Codec((SessionAdvanced,)).decode(record_of(wire.pack({**GOLDEN, **change}), SessionAdvanced.wire_type, 1))
    return type(bad.value)


def test_every_ask_and_every_order_stands_in_the_golden_bytes() -> None:
    assert [one["kind"] for one in GOLDEN["asks"]] == [ask.kind for ask in ASKS]
    assert [one["kind"] for one in GOLDEN["orders"]] == [order.model_fields["kind"].default for order in ORDERS]


def test_every_ask_and_every_order_has_a_schema_for_who_reads_the_history() -> None:
    document = asyncapi.rendered()
    for model in (*PAIRS, *ORDERS, *ASKS, UserFound, PasswordVerified, asks.DevicesListed):
        assert f"\n    {model.__name__}:\n" in document, model


@pytest.mark.parametrize("pair", PAIRS, ids=lambda one: one.__name__)
def test_a_pair_is_called_as_its_ask_is(pair: type[Value]) -> None:
    assert pair.model_fields["kind"].default == pair.model_fields["ask"].annotation.kind  # type: ignore[union-attr]


def test_an_ask_is_noted_with_what_answers_it_and_with_nothing_else() -> None:
    ask, found = FindUser(fields=("username",), value="alice"), UserFound(user=None, identifier="alice")
    noted = asked(ask, found)
    assert (noted.kind, noted.ask, noted.result) == (ask.kind, ask, found)
    with pytest.raises(ValidationError):
        asked(ask, PasswordVerified(outcome="ok"))  # type: ignore[misc]


BROKEN: dict[str, Mapping[str, Any]] = {
    "an ask that is none": {"asks": ({"kind": "directory.user.delete", "ask": {}, "result": {}},)},
    "a result of another ask": {"asks": ({**GOLDEN["asks"][0], "result": GOLDEN["asks"][2]["result"]},)},
    "an ask without its result": {"asks": ({name: value for name, value in GOLDEN["asks"][0].items() if name != "result"},)},
    "an order that is none": {"orders": ({**GOLDEN["orders"][0], "kind": "directory.user.delete"},)},
    "an order with a field too many": {"orders": ({**GOLDEN["orders"][1], "sudo": True},)},
    "an order without its login": {"orders": ({name: value for name, value in GOLDEN["orders"][0].items() if name != "login"},)},
    "an order for another kind of number": {"orders": ({**GOLDEN["orders"][1], "user": "1"},)},
    "a pending user that is none": {"events": ({**GOLDEN["events"][8], "pending_user": {"pk": 1}},)},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_transition_whose_asks_or_orders_are_broken_is_refused_as_a_whole(change: Mapping[str, Any]) -> None:
    assert refused(change) in (errors.BadField, errors.BadType)


class Later(SessionAdvanced):
    """A later release, in which an order is no `LogIn` without saying from which country, and `reason` has another name."""

    wire_version: ClassVar[int] = 2


class CountryLogIn(LogIn):
    """That order."""

    country: str


class GivenLogOut(LogOut):
    """That other one."""

    why: str


def brought_up(body: Mapping[str, Any]) -> Mapping[str, Any]:
    def order(one: Mapping[str, Any]) -> Mapping[str, Any]:
        more = {"country": ""} if one["kind"] == "directory.login.start" else {"why": one["reason"]}
        return {**one, **more}

    return {**body, "orders": tuple(order(one) for one in body["orders"])}


def test_an_order_of_before_an_upgrade_is_brought_up_and_not_refused() -> None:
    class Upgraded(Later):
        orders: tuple[CountryLogIn | GivenLogOut, ...] = ()

    codec = Codec((Upgraded,), {(SessionAdvanced.wire_type, 1): brought_up})
    body = codec.decode(record_of(path_of(SessionAdvanced, 1).read_bytes(), SessionAdvanced.wire_type, 1)).body
    assert isinstance(body, Upgraded)
    assert [type(one) for one in body.orders] == [CountryLogIn, GivenLogOut]
    assert body.model_dump()["orders"][1]["why"] == GOLDEN["orders"][1]["reason"]


class LaterResults(OrdersPerformed):
    """A later release, which says who performed them."""

    wire_version: ClassVar[int] = 2
    by: str


def test_a_result_that_an_older_release_kept_is_brought_up() -> None:
    done = OrdersPerformed(results=(OrderResult(n=1, done=True),))
    codec = Codec((LaterResults,), {(OrdersPerformed.wire_type, 1): lambda body: {**body, "by": "somebody"}})
    assert kept(keep(done), LaterResults, codec) == LaterResults(results=done.results, by="somebody")


@pytest.mark.parametrize("model", [PasswordVerified, OrdersPerformed], ids=lambda one: one.__name__)
def test_what_is_kept_comes_back_and_stands_for_nothing_else(model: Any) -> None:
    body = example_of(model)
    other = OrdersPerformed if model is PasswordVerified else PasswordVerified
    assert kept(keep(body), model) == body
    for bad in (
        wire.pack(body.model_dump()), b"", b"\xc0", keep(body)[:-1], keep(example_of(other)),
        wire.pack({"type": body.wire_type, "version": 2, "body": body.model_dump()}),
        wire.pack({"type": body.wire_type, "version": 1, "body": ()}),
    ):  # fmt: skip
        with pytest.raises(errors.BadRecord):
            kept(bad, model)


def test_a_reason_that_a_newer_release_gives_reads_as_unknown() -> None:
    assert OrderResult.model_validate({"n": 1, "done": False, "reason": "asked_too_often"}).reason == "unknown"


def test_an_order_says_of_itself_what_it_is() -> None:
    claims = LoginClaims.model_validate(GOLDEN["orders"][0]["login"])
    assert {LogIn(login=claims, session="s").kind, LogOut(login="l", user=1, at_us=0).kind} == {o["kind"] for o in GOLDEN["orders"]}
