"""Cookies of our names that a sibling site, or another program on the parent domain, has set."""

import base64
import secrets

import pytest

from services.executor.edge.cookies import Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.settings import EdgeSettings
from shared.web.client import Clients
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH
from tests.integration.edge.test_pages import hidden

PAGE = f"/if/flow/{AUTH}/"
API = f"/api/v3/flows/executor/{AUTH}/?query="
ME = "/api/v3/core/users/me/"
JWT = "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(b'{"sid":"1"}').decode() + ".c2lnbmF0dXJl"
FOREIGN = [JWT, "", "x", "A" * 100, "a" * 3500, '"quoted"', "%41%41", secrets.token_urlsafe(200)]


def cookies_of(browser: Browser, name: str = "") -> str:
    return "; ".join(f"{key}={value}" for (key, _), value in browser.jar.items() if key.startswith(name))


async def logged_in(browser: Browser) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    await browser.post(API, {"password": "alice-pw"})
    assert (await browser.get(ME)).status == 200


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("name", ["authentik_session", "authentik_csrf", "sluice_step", "sluice_command"])
async def test_a_foreign_value_beside_ours_changes_nothing_wherever_it_stands(rig: Rig, browser: Browser, name: str, foreign: str) -> None:
    """authentik beside us: six requests in a row, its cookie before ours and behind it."""
    page = await browser.get(PAGE)
    for uid, password in ((f"{name}={foreign}; {{}}", f"{{}}; {name}={foreign}"), (f"{{}}; {name}={foreign}", f"{name}={foreign}; {{}}")):
        browser.jar.clear()
        page = await browser.get(PAGE)
        for order, fields in ((uid, {"uid_field": "alice"}), (password, {"password": "alice-pw"})):
            own = cookies_of(browser)
            body = "&".join(f"{key}={value}" for key, value in {**hidden(page), **fields}.items()).encode()
            sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": rig.url, "Cookie": order.format(own)}
            answer = await browser.send("POST", PAGE, sent, body)
            assert answer.status == (303 if "uid_field" in fields else 200)
            page = await browser.send("GET", PAGE, {"Cookie": order.format(cookies_of(browser))})
        assert (await browser.send("GET", ME, {"Cookie": uid.format(cookies_of(browser, "authentik"))})).status == 200
    assert rig.records.kinds == []


async def test_the_token_of_a_planted_csrf_cookie_is_worth_nothing_to_who_planted_it(rig: Rig, browser: Browser) -> None:
    await logged_in(browser)
    planted = Csrf(rig.settings.secrets).new(None)
    sent = {"Cookie": f"authentik_csrf={planted}; {cookies_of(browser)}", "Content-Type": "application/json", "X-authentik-CSRF": planted}
    answer = await browser.send("POST", API, sent, b'{"uid_field":"mallory"}')
    assert answer.json["component"] == "ak-stage-flow-error"
    assert rig.records.kinds == ["csrf"]


async def test_a_sibling_cannot_make_anybody_its_own_session_where_two_prove_themselves(rig: Rig, browser: Browser) -> None:
    """Over plain HTTP nothing tells the planted from the own: nobody is served by chance, and both of this host are cleared."""
    await logged_in(browser)
    mallory = Cookies(rig.settings).session("03." + "m" * 22, 1, None, 0)
    for order in (f"authentik_session={mallory}; {cookies_of(browser)}", f"{cookies_of(browser)}; authentik_session={mallory}"):
        answer = await browser.send("GET", ME, {"Cookie": order})
        assert (answer.status, answer.json["error"]) == (400, "cookie_doubled")
        assert "Max-Age=0" in answer.cookies()["authentik_session"]
    assert rig.records.kinds == ["cookie_doubled"] * 2


async def test_an_older_cookie_of_the_same_session_gives_way(rig: Rig, browser: Browser) -> None:
    """Left at another path by an earlier `SLUICE_PATH`, say."""
    await logged_in(browser)
    kept = cookies_of(browser)
    session = next(step.session for step in rig.worker.steps)
    for order in ("{old}; {own}", "{own}; {old}"):
        old = f"authentik_session={Cookies(rig.settings).session(session, 0, None, 0)}"
        assert (await browser.send("GET", ME, {"Cookie": order.format(old=old, own=kept)})).status == 200


class TestOverHttps:
    """A valid session of the attacker's own, planted on the parent domain before the victim comes (fixation, login CSRF)."""

    HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example", "Origin": "https://auth.example"}  # noqa: RUF012

    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.0/8"])

    async def test_the_session_has_a_name_that_no_sibling_can_set(self, rig: Rig, browser: Browser) -> None:
        lines = (await browser.send("GET", PAGE, self.HTTPS)).headers.getall("Set-Cookie")
        [session] = [line for line in lines if "authentik_session" in line]
        name, *attributes = session.split("; ")
        assert name.startswith("__Host-authentik_session=")
        assert {"Path=/", "Secure", "HttpOnly"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)

    @pytest.mark.parametrize("with_own", [False, True])
    async def test_a_planted_session_that_is_good_in_itself_is_nobodys(self, rig: Rig, browser: Browser, with_own: bool) -> None:
        await logged_in(browser)  # mallory, who is somebody here
        planted = cookies_of(browser, "authentik_session")
        browser.jar.clear()
        if with_own:
            await browser.send("GET", PAGE, self.HTTPS)
        for order in (f"{planted}; {cookies_of(browser)}", f"{cookies_of(browser)}; {planted}"):
            answer = await browser.send("GET", ME, {**self.HTTPS, "Cookie": order})
            assert answer.status == 403
            shown = await browser.send("GET", PAGE, {**self.HTTPS, "Cookie": order})
            assert shown.status == 200
            sessions = {step.session for step in rig.worker.steps if step.secure}
            assert not sessions & {step.session for step in rig.worker.steps if not step.secure}

    @pytest.mark.parametrize(
        "name", ["__Host-authentik_session ", "__host-authentik_session", "__HOST-authentik_session", "X__Host-authentik_session"]
    )
    async def test_no_other_spelling_is_the_name(self, rig: Rig, browser: Browser, name: str) -> None:
        await browser.send("GET", PAGE, self.HTTPS)
        own = browser.cookie("__Host-authentik_session")
        before = len({step.session for step in rig.worker.steps})
        await browser.send("GET", PAGE, {**self.HTTPS, "Cookie": f"{name}={own}"})
        assert len({step.session for step in rig.worker.steps}) == before + 1


async def test_a_host_cookie_over_plain_http_is_not_read(rig: Rig, browser: Browser) -> None:
    await logged_in(browser)
    value = browser.cookie("authentik_session")
    assert (await browser.send("GET", ME, {"Cookie": f"__Host-authentik_session={value}"})).status == 403


@pytest.mark.parametrize("changed", range(0, 60, 7))
async def test_a_sealed_cookie_cannot_be_changed_nor_read_without_the_key(rig: Rig, changed: int) -> None:
    value = Cookies(rig.settings).session("03." + "s" * 22, 7, None, 0)
    raw = bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    raw[changed % len(raw)] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert Cookies(rig.settings)._opened(forged) is None
    assert Cookies(EdgeSettings(secrets=(b"another key, another key, another",)))._opened(value) is None
