"""Orders: all of a transition or none, once, and a log that lost its tail is noticed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.executor.common.ports import AnotherTransition, Noted, OrderKey
from shared.contracts.directory import LoginRevoked, UserChanged
from shared.contracts.evidence import Grounds
from shared.contracts.orders import LogOut
from tests.integration.directory.conftest import People

KEY = OrderKey("07.session", 900, "transition-1")


async def rows(people: People) -> dict[str, tuple[str | None, bool]]:
    """Each login's end reason, and whether it is claimed."""
    found = await people.database.fetch("SELECT id, end_reason, claimed_us FROM logins")
    return {row["id"]: (row["end_reason"], row["claimed_us"] is not None) for row in found}


async def test_a_log_in_is_written_told_and_dated(people: People) -> None:
    alice = await people.make()
    assert await people.log_in(alice.facts) == ""
    assert await rows(people) == {"login-1": (None, False)}
    event = (await people.said(UserChanged))[-1]
    assert (event.what, event.user, event.session, event.transition) == ("logged_in", alice.pk, "07.session", "transition-login-1")
    assert event.facts["methods"] == ("password",)
    stored = await people.users.get(alice.pk)
    assert stored is not None
    assert stored.last_login_us == people.clock.now_us()
    assert await people.said(LoginRevoked) == []


async def test_the_same_transition_again_changes_nothing_and_gets_the_same_results(people: People) -> None:
    alice = await people.make()
    orders = [people.order(alice.facts)]
    first = await people.directory.perform(KEY, orders)
    await people.users.set_active(alice.pk, active=False)
    assert [result.n for result in first] == [1]
    assert list(await people.directory.perform(KEY, orders)) == list(first)
    assert len([event for event in await people.said(UserChanged) if event.what == "logged_in"]) == 1


async def test_five_at_once_do_it_once(people: People) -> None:
    alice = await people.make()
    results = await asyncio.gather(*(people.directory.perform(KEY, [people.order(alice.facts)]) for _ in range(5)))
    assert all(list(result) == list(results[0]) for result in results)
    assert len([event for event in await people.said(UserChanged) if event.what == "logged_in"]) == 1


@pytest.mark.parametrize("offset", [None, 0, 41])
async def test_another_transition_under_the_key_is_told_which_one_was_there_and_where(people: People, offset: int | None) -> None:
    alice = await people.make()
    await people.directory.perform(replace(KEY, partition=7, offset=offset), [people.order(alice.facts)])
    with pytest.raises(AnotherTransition) as told:
        await people.directory.perform(OrderKey(KEY.session, KEY.version, "another"), [people.order(alice.facts, "login-2")])
    assert told.value.noted == Noted(-1 if offset is None else offset, KEY.transition)
    assert list(await rows(people)) == ["login-1"]


async def test_a_refusal_is_the_result_and_is_kept(people: People) -> None:
    alice = await people.make()
    await people.users.set_active(alice.pk, active=False)
    order = people.order(alice.facts)
    (refused,) = await people.directory.perform(KEY, [order])
    assert (refused.done, refused.reason) == (False, "user_disabled")
    await people.users.set_active(alice.pk, active=True)
    (again,) = await people.directory.perform(KEY, [order])
    assert again == refused
    assert await rows(people) == {}


WITHOUT: dict[str, dict[str, Any]] = {
    "no grounds": {"grounds": Grounds()},
    "another run": {"run": "run-2"},
    "only the login that it began with": {"grounds": Grounds(), "replaces": "login-0"},
}


@pytest.mark.parametrize("changes", WITHOUT.values(), ids=WITHOUT)
async def test_an_order_is_judged_again_where_it_is_carried_out(people: People, changes: dict[str, Any]) -> None:
    alice = await people.make()
    assert await people.log_in(alice.facts, **changes) == "no_evidence"
    assert await rows(people) == {}
    assert await people.log_in(alice.facts, **changes | {"grounds": Grounds(unauthenticated=True)}) == ""


async def test_a_proof_for_somebody_whose_number_was_given_again_lets_in_nobody(people: People) -> None:
    alice = await people.make()
    await people.users.delete(alice.pk)
    mallory = await people.make("mallory")
    await people.database.execute("UPDATE users SET pk = $2 WHERE pk = $1", mallory.pk, alice.pk)
    for terminate_others in (False, True):
        assert await people.log_in(alice.facts, terminate_others=terminate_others) == "user_gone"
    assert await rows(people) == {}
    stored = await people.users.get(alice.pk)
    assert stored is not None
    assert (stored.facts.username, await people.log_in(stored.facts)) == ("mallory", "")


@pytest.mark.parametrize("reason", ["user_gone", "user_disabled", "epoch_over"])
async def test_who_changed_meanwhile_is_not_logged_in(people: People, reason: str) -> None:
    alice = await people.make()
    if reason == "user_gone":
        await people.users.delete(alice.pk)
    elif reason == "user_disabled":
        await people.users.set_active(alice.pk, active=False)
    else:
        await people.users.set_password(alice.pk, "new-pw")
    assert await people.log_in(alice.facts) == reason
    assert await rows(people) == {}


async def test_a_log_in_ends_the_login_that_the_session_had(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    await people.log_in(alice.facts, "login-2", replaces="login-1")
    assert await rows(people) == {"login-1": ("replaced", False), "login-2": (None, False)}
    assert [(revoked.what, revoked.login) for revoked in await people.said(LoginRevoked)] == [("login", "login-1")]


async def test_a_refused_log_in_ends_nothing(people: People) -> None:
    alice = await people.make()
    bob = await people.make("bob")
    await people.log_in(bob.facts)
    await people.users.set_active(alice.pk, active=False)
    await people.log_in(alice.facts, "login-2", replaces="login-1")
    assert await rows(people) == {"login-1": (None, False)}


async def test_all_other_logins_end_if_asked(people: People) -> None:
    alice = await people.make()
    bob = await people.make("bob")
    for user, login in ((alice, "a1"), (alice, "a2"), (bob, "b1")):
        await people.log_in(user.facts, login)
    await people.log_in(alice.facts, "a3", terminate_others=True)
    assert {login for login, (reason, _) in (await rows(people)).items() if reason} == {"a1", "a2"}
    assert {revoked.login for revoked in await people.said(LoginRevoked)} == {"a1", "a2"}


async def test_a_log_out_is_revoked_and_told_and_even_an_unknown_one_is_revoked(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    orders = [LogOut(login=login, user=alice.pk, at_us=people.clock.now_us()) for login in ("login-1", "never seen")]
    results = await people.directory.perform(KEY, orders)
    assert [(result.n, result.done) for result in results] == [(1, True), (2, True)]
    assert await rows(people) == {"login-1": ("logout", False)}
    assert [revoked.login for revoked in await people.said(LoginRevoked)] == ["login-1", "never seen"]
    assert [event.facts["login"] for event in await people.said(UserChanged) if event.what == "logged_out"] == ["login-1"]


async def test_the_orders_of_a_transition_stand_or_fall_together(people: People) -> None:
    alice = await people.make()
    unknown = people.order(alice.facts, "login-2").model_copy(update={"address": "nul \0"})
    with pytest.raises(Exception, match="0x00"):
        await people.directory.perform(KEY, [people.order(alice.facts), unknown])
    assert await rows(people) == {}


async def test_a_login_is_looked_up_claimed_once_and_over_for_every_reason(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    assert not await people.logins.look_up("login-1", alice.pk + 1, 0)
    assert not await people.logins.look_up("login-1", alice.pk, 1)
    assert not await people.logins.look_up("another", alice.pk, 0)
    assert (await rows(people))["login-1"] == (None, False)
    assert all(await asyncio.gather(*(people.logins.look_up("login-1", alice.pk, 0) for _ in range(5))))
    assert (await rows(people))["login-1"] == (None, True)
    await people.users.set_password(alice.pk, "new-pw")
    assert not await people.logins.look_up("login-1", alice.pk, 0)
    assert not await people.logins.look_up("login-1", alice.pk, 1)


async def test_an_expired_login_is_over(people: People) -> None:
    alice = await people.make()
    order = people.order(alice.facts)
    claims = order.login.model_copy(update={"expires_us": people.clock.now_us() + 1_000_000})
    await people.directory.perform(KEY, [order.model_copy(update={"login": claims})])
    assert await people.logins.look_up("login-1", alice.pk, 0)
    people.clock.advance(2)
    assert not await people.logins.look_up("login-1", alice.pk, 0)


async def test_an_epoch_that_rose_ends_logins_even_where_their_rows_do_not_say_so(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    await people.users.set_password(alice.pk, "new-pw")
    assert await rows(people) == {"login-1": ("password_set", False)}
    await people.database.execute("UPDATE logins SET ended_us = NULL")
    assert not await people.logins.look_up("login-1", alice.pk, 0)


@pytest.mark.parametrize("since", ["nothing", "logged out", "disabled", "new password", "logged in elsewhere"])
@pytest.mark.parametrize("changes", [{}, {"terminate_others": True}, {"replaces": "login-2"}], ids=["alone", "others end", "another goes"])
async def test_a_log_in_that_is_met_again_when_its_results_are_forgotten_is_not_done_twice(
    people: People, since: str, changes: dict[str, Any]
) -> None:
    """A group's offsets were set back by more than two days: the history is folded again, and all its orders come again."""
    alice = await people.make()
    order = people.order(alice.facts, **changes)
    assert [one.done for one in await people.directory.perform(KEY, [order])] == [True]
    match since:
        case "logged out":
            await people.directory.perform(
                OrderKey("07.session", 901, "t"), [LogOut(login="login-1", user=alice.pk, at_us=1, reason="logout")]
            )
        case "disabled":
            await people.users.set_active(alice.pk, active=False)
        case "new password":
            await people.users.set_password(alice.pk, "new-pw")
        case "logged in elsewhere":
            people.clock.advance(10)
            assert await people.log_in(alice.facts, "login-2") == ""
        case _:
            pass
    await people.database.execute("DELETE FROM order_results")
    before = (await rows(people), await people.said(UserChanged), await people.said(LoginRevoked), await people.users.get(alice.pk))
    assert [(one.done, one.reason) for one in await people.directory.perform(KEY, [order])] == [(True, "")]
    assert (await rows(people), await people.said(UserChanged), await people.said(LoginRevoked), await people.users.get(alice.pk)) == before
