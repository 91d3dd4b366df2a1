"""nginx, HAProxy, Caddy and Envoy before Sluice, as `deploy/gateways` has them: forms, addresses, cookies, and a stranger's headers."""

import pytest

from shared.web import seen
from sluice.doctor import doctor
from tests.e2e.fronts.conftest import PASSWORD
from tests.e2e.fronts.fronts import VISITOR, Front
from tests.e2e.sluice_process import SluiceUp

pytestmark = [pytest.mark.front, pytest.mark.slow, pytest.mark.timeout(600)]
STRANGE = [
    {"X-Forwarded-For": "6.6.6.6"}, {"X-Forwarded-For": "unknown"}, {"X-Forwarded-For": ""}, {"X-Forwarded-For": "6.6.6.6, 127.0.0.1"},
    {"Forwarded": "for=6.6.6.6;host=evil.example;proto=http"}, {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Port": "1"}, {"X-Forwarded-Prefix": "/evil"}, {"X-Real-IP": "6.6.6.6"}, {"Forwarded": 'for="[2001:db8::1]:80"'},
]  # fmt: skip


def test_somebody_logs_in_by_forms_as_an_old_browser_sends_them(front: Front) -> None:
    web = front.web()
    assert "akadmin" in web.log_in("akadmin", PASSWORD).text
    assert web.who() == "akadmin"
    assert ("__Host-authentik_session", "/") in web.jar
    assert not any(name == "authentik_session" for name, _ in web.jar)


def test_sluice_sees_the_visitor_and_not_the_front(front: Front) -> None:
    told = front.web().ask("GET", seen.PATH).json()
    assert told == {"origin": front.url, "path": "", "address": VISITOR, "front": "trusted", "unread": []}


@pytest.mark.parametrize("headers", STRANGE, ids=str)
def test_no_header_of_a_stranger_gets_through(front: Front, headers: dict[str, str]) -> None:
    told = front.web().ask("GET", seen.PATH, headers).json()
    assert told == {"origin": front.url, "path": "", "address": VISITOR, "front": "trusted", "unread": []}


def test_another_spelling_of_the_host_is_the_same_place(front: Front) -> None:
    """Caddy and its like know a site by its name as it is written, and do not let the other one through."""
    for spelt in ("LOCALHOST", *(() if front.name == "caddy" else ("localhost.",))):
        web = front.web()
        host = f"{spelt}:{front.port}"
        page = web.ask("GET", "/if/flow/default-authentication-flow/", {"Host": host})
        where, asked = web.send(page, {"Host": host}, uid_field="akadmin")
        assert 'name="password"' in asked.text, where


def test_another_sites_form_is_refused(front: Front) -> None:
    web = front.web()
    _, page = web.open("/")
    for headers in ({"Origin": "https://evil.example"}, {"Origin": web.origin, "Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        _, refused = web.send(page, headers, uid_field="akadmin")
        assert refused.status == 403


def test_another_programs_cookie_of_our_name_shuts_nobody_out(front: Front) -> None:
    web = front.web()
    web.jar["authentik_session", "/"] = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
    web.jar["authentik_csrf", "/"] = "foreign"
    web.log_in("akadmin", PASSWORD)
    assert web.who() == "akadmin"


def test_the_doctor_finds_nothing_wrong(front: Front) -> None:
    found = doctor(front.url, front.authority, VISITOR)
    assert [str(finding) for finding in found if not finding.good] == []


def test_the_command_says_what_a_machine_that_is_itself_trusted_can_do(front: Front, up: SluiceUp) -> None:
    good = up.command("doctor", front.url, "--ca-file", str(front.authority), "--source", VISITOR)
    assert "WRONG" not in good.stdout
    bad = up.command("doctor", up.base_url, check=False)
    assert bad.returncode == 1
    for word in ("plain HTTP", "X-Forwarded-For", "trusted proxy"):
        assert word in bad.stdout


def test_head_and_a_missing_slash(front: Front) -> None:
    web = front.web()
    headed = web.ask("HEAD", "/if/flow/default-authentication-flow/")
    assert (headed.status, headed.body, headed.cookies) == (200, b"", ())
    typed = web.ask("GET", "/if/flow/default-authentication-flow?next=%2Fapp")
    assert (typed.status, typed.headers["location"]) == (308, "/if/flow/default-authentication-flow/?next=%2Fapp")
