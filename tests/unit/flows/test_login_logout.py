"""Logging in and out: claims, orders, and whom nothing is ordered for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.evidence import Grounds
from shared.contracts.orders import LogIn, LogOut
from shared.contracts.people import UserFacts
from shared.flows.fields import problem
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, StageFailed, denied_for
from shared.flows.stage_types.user_login import UserLoginConfig
from tests.unit.flows.stories import ALICE, LOGIN, NOBODY, NOW_US, FakeEffects, a_run, answered, proof_of, shown

HOUR_US = 3_600_000_000
PROVED = ALICE.model_copy(update={"backend": "authentik.core.auth.InbuiltBackend"})
REMEMBER = {"session_duration": "hours=1", "remember_me_offset": "hours=2"}


def a_proved_run(config: Mapping[str, Any] | None = None, **changes: Any) -> Run:
    return a_run("user_login", config or {}, pending_user=PROVED, evidence=(proof_of(ALICE),), **changes)


async def test_logs_the_pending_user_in_and_orders_it() -> None:
    do = FakeEffects()
    then = await shown(a_proved_run(), do)
    assert isinstance(then, Passed)
    assert (then.subject, then.method, then.proof) == ("uid-alice", "login", None)
    assert then.login is not None
    assert then.login == LOGIN.model_copy(update={"login": "new-login", "at_us": NOW_US})
    grounds = Grounds(evidence=(proof_of(ALICE),))
    assert do.orders == [LogIn(login=then.login, session="00.s", address="192.0.2.1", run="run-1", grounds=grounds)]


async def test_a_new_login_replaces_the_one_the_browser_had_and_others_if_asked() -> None:
    do = FakeEffects()
    await shown(a_proved_run({"terminate_other_sessions": True}, login=LOGIN), do)
    (order,) = do.orders
    assert isinstance(order, LogIn)
    assert (order.replaces, order.terminate_others) == ("login-1", True)


async def test_the_methods_of_a_login_are_those_that_were_proved_and_each_once() -> None:
    given = replace(a_proved_run(), evidence=(proof_of(ALICE), proof_of(ALICE, "device", binding="b2"), proof_of(ALICE, binding="b3")))
    then = await shown(given, FakeEffects())
    assert isinstance(then, Passed)
    assert then.login is not None
    assert then.login.methods == ("password", "device")


async def test_a_method_in_the_context_that_nothing_proved_is_not_claimed() -> None:
    given = a_run("user_login", {"allow_unauthenticated": True}, pending_user=PROVED, context={"auth_method": "password"})
    then = await shown(given, FakeEffects())
    assert isinstance(then, Passed)
    assert then.login is not None
    assert then.login.methods == ()


@pytest.mark.parametrize("user", [ALICE, NOBODY, ALICE.model_copy(update={"is_active": False})], ids=["known", "unknown", "disabled"])
@pytest.mark.parametrize("config", [{}, REMEMBER], ids=["silent", "asking"])
async def test_without_evidence_everybody_gets_the_same_and_nothing_is_ordered(user: UserFacts, config: dict[str, Any]) -> None:
    do = FakeEffects()
    given = a_run("user_login", config, pending_user=user, login=LOGIN, began_as=LOGIN)
    assert await shown(given, do) == denied_for("no_evidence")
    assert await answered(given, {"remember_me": True}, do) == denied_for("no_evidence")
    assert do.orders == []


async def test_evidence_that_is_too_old_can_be_shown_again() -> None:
    given = replace(a_proved_run(), evidence=(proof_of(ALICE, at_us=NOW_US - HOUR_US),))
    then = await shown(given, FakeEffects())
    assert isinstance(then, Denied)
    assert (then.reason, then.final) == ("evidence_too_old", False)


@pytest.mark.parametrize("user", [None, ALICE.model_copy(update={"is_active": False})])
async def test_nobody_and_the_disabled_are_denied_and_nothing_is_ordered(user: UserFacts | None) -> None:
    do = FakeEffects()
    assert await shown(a_run("user_login", {}, pending_user=user, evidence=(proof_of(ALICE),)), do) == Denied()
    assert do.orders == []


async def test_a_pretended_user_is_never_logged_in() -> None:
    do = FakeEffects()
    with pytest.raises(StageFailed):
        await shown(a_run("user_login", {"allow_unauthenticated": True}, pending_user=NOBODY), do)
    assert do.orders == []


async def test_remember_me_is_asked_for_and_adds_to_the_duration() -> None:
    given = a_proved_run(REMEMBER)
    assert await shown(given, FakeEffects()) == Challenge("ak-stage-user-login", with_user=True)
    for remember, hours in ((True, 3), (False, 1)):
        then = await answered(given, {"remember_me": remember}, FakeEffects())
        assert isinstance(then, Passed)
        assert then.login is not None
        assert (then.login.expires_us, then.login.persistent) == (NOW_US + hours * HOUR_US, True)


async def test_remember_me_must_be_answered() -> None:
    then = await answered(a_run("user_login", REMEMBER, pending_user=PROVED), {}, FakeEffects())
    assert then == Refused({"remember_me": (problem("This field is required.", "required"),)})


@pytest.mark.parametrize("text", ["tomorrow", "hours=1,minutes=2", "hours", "years=1", "hours=-1", "hours=nan", "hours=inf", "weeks=1e9"])
def test_durations_that_cannot_be_read_are_refused_in_authentiks_words(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        UserLoginConfig(session_duration=text)
    assert refused.value.errors()[0]["msg"] == f"{text} is not in the correct format of 'hours=3;minutes=1'."


@pytest.mark.parametrize("field", [{"network_binding": "bind_asn"}, {"geoip_binding": "bind_continent"}])
def test_a_binding_that_nobody_enforces_cannot_be_set(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="not supported yet"):
        UserLoginConfig.model_validate(field)


async def test_logout_ends_the_login_of_the_browser() -> None:
    do = FakeEffects()
    then = await shown(a_run("user_logout", {}, login=LOGIN), do)
    assert then == Passed("uid-alice", "logout", logged_out=True)
    assert do.orders == [LogOut(login="login-1", user=7, at_us=NOW_US)]


async def test_logout_by_nobody_passes_and_orders_nothing() -> None:
    do = FakeEffects()
    given = a_run("user_logout", {})
    assert await shown(replace(given, visitor=given.visitor), do) == Passed("anonymous", "logout")
    assert do.orders == []
