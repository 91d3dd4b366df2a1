"""Proofs: nothing that we did not make means anything, and one thing cannot stand in for another."""

import base64

import pytest

from services.executor.edge.cookies import PAGE_AGE_US, Cookies, SessionCookie
from services.executor.edge.csrf import Csrf
from services.executor.edge.settings import EdgeSettings
from shared.contracts import wire
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Page, Shown
from shared.web.client import Client
from shared.web.keyring import KeyRing

OLD, NEW = b"o" * 32, b"n" * 32
SESSION, OTHER = "03." + "s" * 22, "03." + "t" * 22
SHOWN = Shown(run="r" * 22, transition="t" * 22, version=3)
LOGIN = LoginClaims(
    login="l1", user=7, uid="u", username="alice", methods=("password",), at_us=1, expires_us=None, persistent=False, epoch=0
)
CLIENT = Client("127.0.0.1", False, "localhost")


def opened(cookies: Cookies, value: str) -> SessionCookie | None:
    return cookies._opened(value)


@pytest.fixture
def cookies() -> Cookies:
    return Cookies(EdgeSettings(secrets=(NEW, OLD)))


def test_a_session_is_read_back(cookies: Cookies) -> None:
    for login in (None, LOGIN):
        value = cookies.session(SESSION, 2, login, 5)
        assert opened(cookies, value) == SessionCookie(SESSION, 2, login, value, 5)


def test_the_same_claims_give_the_same_value(cookies: Cookies) -> None:
    assert cookies.session(SESSION, 2, LOGIN, 5) == cookies.session(SESSION, 2, LOGIN, 5)
    assert cookies.session(SESSION, 2, LOGIN, 5) != cookies.session(SESSION, 3, LOGIN, 5)


def test_no_changed_value_is_taken(cookies: Cookies) -> None:
    value = cookies.session(SESSION, 2, LOGIN, 5)
    for at in range(len(value)):
        other = "A" if value[at] != "A" else "B"
        assert opened(cookies, value[:at] + other + value[at + 1 :]) is None
        assert opened(cookies, value[:at]) is None


@pytest.mark.parametrize("value", ["", "x", "A" * 32, "A" * 5000, "%41%41", "AAAA=", "ÄÄÄÄ", "AA AA", "+/+/" * 20, "AAA"])
def test_what_was_never_ours_is_nothing(cookies: Cookies, value: str) -> None:
    assert opened(cookies, value) is None
    assert cookies.shown(value, SESSION, "flow") is None


def test_one_value_has_one_spelling(cookies: Cookies) -> None:
    value = cookies.session(SESSION, 2, None, 5)
    assert opened(cookies, value + "=" * (-len(value) % 4)) is None or len(value) % 4 == 0


def test_an_older_key_still_proves_and_an_unknown_one_does_not(cookies: Cookies) -> None:
    older = Cookies(EdgeSettings(secrets=(OLD,))).session(SESSION, 1, None, 5)
    assert opened(cookies, older) is not None
    assert opened(cookies, Cookies(EdgeSettings(secrets=(b"x" * 32,))).session(SESSION, 1, None, 5)) is None


@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("rotation", [0, 7])
def test_what_an_older_key_made_is_sent_back_under_the_newest(cookies: Cookies, rotation: int, login: LoginClaims | None) -> None:
    older = Cookies(EdgeSettings(secrets=(OLD,))).session(SESSION, rotation, login, 5)
    found = opened(cookies, older)
    assert found is not None
    assert found.value == cookies.session(SESSION, rotation, login, 5)
    again = opened(Cookies(EdgeSettings(secrets=(NEW,))), found.value)
    assert again is not None, "the older key cannot be dropped"
    assert (again.session, again.rotation, again.login) == (SESSION, rotation, login)


def test_a_step_is_good_in_its_session_and_flow_only(cookies: Cookies) -> None:
    value = cookies.step(SESSION, "flow", SHOWN)
    assert cookies.shown(value, SESSION, "flow") == SHOWN
    assert cookies.shown(value, OTHER, "flow") is None
    assert cookies.shown(value, SESSION, "other") is None


def test_a_step_is_no_session_and_the_reverse(cookies: Cookies) -> None:
    assert opened(cookies, cookies.step(SESSION, "flow", SHOWN)) is None
    assert cookies.shown(cookies.session(SESSION, 1, None, 5), SESSION, "flow") is None


def test_attributes(cookies: Cookies) -> None:
    assert cookies.set_session(CLIENT, "v", None, 0) == "authentik_session=v; HttpOnly; Path=/; SameSite=Lax"
    assert cookies.set_csrf(CLIENT, "v") == "authentik_csrf=v; Max-Age=31449600; Path=/; SameSite=Lax"
    assert "HttpOnly" not in cookies.clear_session(CLIENT)
    lasting = LOGIN.model_copy(update={"persistent": True, "expires_us": 61_000_000})
    assert "Max-Age=60" in cookies.set_session(CLIENT, "v", lasting, 1_000_000)


def test_host_cookies_are_named_and_secured() -> None:
    cookies = Cookies(EdgeSettings(secrets=(NEW,), host_cookies=True, same_site="None"))
    assert cookies.set_session(CLIENT, "v", None, 0) == "__Host-authentik_session=v; HttpOnly; Path=/; Secure; SameSite=None"


def test_a_csrf_token_is_for_one_login() -> None:
    csrf = Csrf((NEW,))
    other = LOGIN.model_copy(update={"login": "l2"})
    token = csrf.new(LOGIN)
    assert csrf.is_for(token, LOGIN)
    for login in (None, other):
        assert not csrf.is_for(token, login)
    assert csrf.is_for(csrf.new(None), None)
    for broken in (None, "", "x", "Ä", token[:-1], token + "AA"):
        assert not csrf.is_for(broken, LOGIN)


def test_a_forms_token_is_for_one_cookie_and_session() -> None:
    csrf = Csrf((NEW,))
    one, other = csrf.new(None), csrf.new(None)
    form = csrf.form(one, SESSION)
    assert csrf.form_is_for(form, one, SESSION)
    assert not csrf.form_is_for(form, other, SESSION)
    assert not csrf.form_is_for(form, one, OTHER)
    assert not csrf.form_is_for(one, one, SESSION)


def test_parts_of_a_proof_cannot_be_moved() -> None:
    ring = KeyRing((NEW,), "test")
    assert ring.proof(b"ab", b"c") != ring.proof(b"a", b"bc")
    with pytest.raises(ValueError, match="16 bytes"):
        KeyRing((b"short",), "test")


def test_only_what_we_made_is_remembered() -> None:
    cookies = Cookies(EdgeSettings((b"k" * 32,)))
    for made_up in ("", "x", "A" * 16_000, cookies.step("s", "f", Shown(run="r", transition="t", version=1))):
        assert cookies._opened(made_up) is None
    assert cookies._known.cache_info().currsize == 0
    assert cookies._opened(cookies.session("03." + "s" * 22, 1, None, 5)) is not None
    assert cookies._known.cache_info().currsize == 1


@pytest.mark.parametrize(
    "body",
    [
        {"session": SESSION, "rotation": 1, "login": None},
        {"session": SESSION, "rotation": 1, "login": {"login": "l1"}, "made_us": 5},
        {"session": "not-a-session", "rotation": 1, "login": None, "made_us": 5},
        {},
    ],
)
def test_what_an_older_release_sealed_is_nobodys_session(cookies: Cookies, body: dict[str, object]) -> None:
    value = base64.urlsafe_b64encode(KeyRing((NEW,), "cookie/session/2").sealed(wire.pack(body))).rstrip(b"=").decode()
    assert opened(cookies, value) is None


def test_over_https_the_session_is_the_hosts_own_and_the_token_has_the_name_that_front_ends_know() -> None:
    cookies = Cookies(EdgeSettings(secrets=(NEW,)))
    https = Client("127.0.0.1", True, "auth.example", "/auth")
    assert cookies.set_session(https, "v", None, 0) == "__Host-authentik_session=v; HttpOnly; Path=/; Secure; SameSite=Lax"
    assert cookies.set_csrf(https, "v") == "authentik_csrf=v; Max-Age=31449600; Path=/auth/; Secure; SameSite=Lax"
    never = Cookies(EdgeSettings(secrets=(NEW,), host_cookies=False))
    assert never.set_session(https, "v", None, 0) == "authentik_session=v; HttpOnly; Path=/auth/; Secure; SameSite=Lax"


def test_a_session_cookie_tells_its_bearer_nothing(cookies: Cookies) -> None:
    value = cookies.session(SESSION, 2, LOGIN, 5)
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    for secret in ("alice", SESSION, "password", "l1", "session", "rotation"):
        assert secret.encode() not in raw


PAGE = Page(run="r" * 22, login="", binding="b", challenge="c" * 64, at_us=7, address="192.0.2.1", user_agent="Böwser/1")


def test_a_page_that_nobody_answered_is_good_in_its_flow_for_a_day(cookies: Cookies) -> None:
    value = cookies.page("flow", PAGE)
    assert cookies.page_of(value, "flow", 7 + PAGE_AGE_US) == PAGE
    assert cookies.page_of(value, "flow", 8 + PAGE_AGE_US) is None
    assert cookies.page_of(value, "other", 7) is None
    assert cookies.shown(value, SESSION, "flow") is None
    assert cookies.page_of(cookies.step(SESSION, "flow", SHOWN), "flow", 7) is None


def test_a_command_is_good_in_its_session_only(cookies: Cookies) -> None:
    value = cookies.command(SESSION, "c" * 22, "r" * 22, b"body")
    found = cookies.awaited(value, SESSION)
    assert found and (found.command, found.run) == ("c" * 22, "r" * 22)
    assert cookies.is_body(found, SESSION, b"body")
    assert not any(cookies.is_body(found, SESSION, other) for other in (b"", b"bod", b"body ", b"other"))
    assert not cookies.is_body(found, OTHER, b"body")
    assert b"body" not in base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    assert cookies.awaited(value, OTHER) is None
    assert cookies.awaited(value[:-1] + "A", SESSION) is None
    for other in (cookies.step(SESSION, "flow", SHOWN), cookies.page("flow", PAGE), cookies.session(SESSION, 1, None, 5), "c" * 22):
        assert cookies.awaited(other, SESSION) is None


def test_no_part_of_a_page_can_be_changed(cookies: Cookies) -> None:
    value = cookies.page("flow", PAGE)
    for at in range(len(value)):
        assert cookies.page_of(value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :], "flow", 7) is None
        assert cookies.page_of(value[:at], "flow", 7) is None
