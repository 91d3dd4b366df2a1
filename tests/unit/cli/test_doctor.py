"""`sluice doctor`: the usual mistakes of fronts, told by the setting or header that mends them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.kernel.clock import FixedClock
from shared.runtime.listener import Listener
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from sluice.doctor import Answer, Finding, NoUrl, Unreachable, doctor, findings, taken_apart

GOOD = {"origin": "https://auth.example", "path": "", "address": "203.0.113.9", "front": "trusted", "unread": []}
READY = Answer(200, {}, b'{"status":"ok","parts":{}}')
PAGE = Answer(200, {"strict-transport-security": "max-age=1"}, b"", ("__Host-authentik_session=x; Secure",))
Front = Callable[[str, Mapping[str, str]], Answer]


def front(
    told: Mapping[str, Any] = GOOD, page: Answer = PAGE, ready: Answer = READY, through: Mapping[str, Mapping[str, Any]] = {}
) -> Front:
    def ask(path: str, headers: Mapping[str, str]) -> Answer:
        if path.endswith("/-/seen/"):
            changed = {key: value for name in headers for key, value in through.get(name, {}).items()}
            return Answer(200, {}, json.dumps({**told, **changed}).encode())
        return ready if path.endswith("/ready/") else page

    return ask


def wrong(ask: Front, url: str = "https://auth.example") -> list[Finding]:
    return [finding for finding in findings(*taken_apart(url), ask) if not finding.good]


def test_where_all_is_well_nothing_has_to_be_changed() -> None:
    assert wrong(front()) == []
    assert len(list(findings(*taken_apart("https://auth.example:443/"), front()))) >= 6


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ({"origin": "http://auth.example", "front": "none", "address": "172.18.0.2"}, "SLUICE_TRUSTED_PROXIES=172.18.0.2"),
        ({"origin": "http://sluice:9000", "front": "not trusted", "address": "172.18.0.2"}, "SLUICE_TRUSTED_PROXIES=172.18.0.2"),
        ({"origin": "http://auth.example"}, "X-Forwarded-Proto"),
        ({"origin": "https://sluice:9000"}, "X-Forwarded-Host"),
        ({"origin": "https://auth.example:8443"}, "X-Forwarded-Port"),
    ],
)
def test_both_origins_are_named_and_what_to_change(told: dict[str, Any], change: str) -> None:
    [finding] = wrong(front({**GOOD, **told}))
    assert finding.change == change
    assert "https://auth.example" in finding.text and str(told["origin"]) in finding.text


def test_a_path_that_sluice_does_not_know() -> None:
    [finding] = wrong(front(), "https://auth.example/auth")
    assert "SLUICE_PATH=/auth" in finding.change


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        ("X-Forwarded-For", {"address": "192.0.2.77"}), ("X-Forwarded-Proto", {"origin": "http://auth.example"}),
        ("X-Forwarded-Host", {"origin": "https://stranger.invalid"}), ("X-Forwarded-Port", {"origin": "https://auth.example:1"}),
        ("X-Forwarded-Prefix", {"path": "/stranger"}), ("Forwarded", {"address": "192.0.2.78"}), ("X-Forwarded-For", {"unread": ["forwarded_for"]}),
    ],
)  # fmt: skip
def test_a_front_that_lets_a_strangers_header_through(header: str, seen: dict[str, Any]) -> None:
    [finding] = wrong(front(through={header: seen}))
    assert finding.change == header


def test_cookies_hsts_readiness_and_unread_headers() -> None:
    assert [one.change for one in wrong(front(page=Answer(200, {}, b"", ("authentik_csrf=x; Path=/",))))] == [
        "X-Forwarded-Proto of the front",
        "SLUICE_HSTS_MAX_AGE",
    ]
    assert [one.change for one in wrong(front({**GOOD, "unread": ["forwarded_for"]}))] == ["forwarded_for"]
    [late] = wrong(front(ready=Answer(503, {}, b'{"parts":{"executor.postgres":false,"executor.log":true}}')))
    assert "executor.postgres" in late.text
    assert "plain HTTP" in wrong(front({**GOOD, "origin": "http://auth.example"}), "http://auth.example")[0].text


def test_a_host_that_is_not_served_ends_it() -> None:
    [finding] = wrong(lambda path, headers: Answer(421))
    assert finding.change == "add auth.example to SLUICE_ALLOWED_HOSTS"


def test_a_path_of_which_sluice_knows_nothing() -> None:
    ours = Answer(404, {"content-type": "application/problem+json"}, b'{"error":"not_found","correlation_id":"0","status":404}')
    [finding] = wrong(lambda path, headers: ours, "https://auth.example/auth")
    assert finding.change == "SLUICE_PATH=/auth"
    for other in (
        Answer(404, {"content-type": "text/html"}, ours.body),
        Answer(404, ours.headers, b"{}"),
        Answer(404, ours.headers, b"[]"),
    ):
        with pytest.raises(Unreachable):
            wrong(lambda path, headers, other=other: other, "https://auth.example/auth")  # type: ignore[misc]


HSTS = {"strict-transport-security": "max-age=1"}


@pytest.mark.parametrize(
    ("cookies", "good"),
    [((), False), (("a=x",), False), (("a=x; Secure", "b=y; Path=/"), False), (("a=x; Secure", "b=y; Path=/; secure"), True)],
)
def test_cookies_are_called_secure_only_if_there_were_any(cookies: tuple[str, ...], good: bool) -> None:
    found = wrong(front(page=Answer(200, HSTS, b"", cookies)))
    assert (found == [], any("ookie" in one.text for one in found)) == (good, not good)


def test_a_page_that_sets_a_cookie_is_looked_for() -> None:
    pages = {
        "/flows/-/default/authentication/": Answer(302, {**HSTS, "location": "/if/flow/log-in/"}),
        "/if/flow/log-in/": Answer(200, HSTS),
    }
    bare = front(page=Answer(404, HSTS, b"", ("authentik_csrf=x; Path=/",)))
    found = wrong(lambda path, headers: pages[path] if path in pages else bare(path, headers))
    assert [one.text for one in found] == ["cookies without Secure: authentik_csrf"]


@pytest.mark.parametrize(
    ("front_is", "change"),
    [("none", "SLUICE_TRUSTED_PROXIES=172.18.0.2"), ("not trusted", "SLUICE_TRUSTED_PROXIES=172.18.0.2"), ("trusted", "X-Forwarded-Proto")],
)
def test_a_hidden_scheme_is_the_cause_of_all_that_follows_from_it(front_is: str, change: str) -> None:
    told = {"origin": "http://auth.example", "front": front_is, "address": "172.18.0.2"}
    found = wrong(front({**GOOD, **told}, page=Answer(200, {}, b"", ("a=x",))))
    assert len(found) == 3
    assert all(one.change.startswith(change) for one in found)


@pytest.mark.parametrize(
    "url", ["auth.example", "ftp://auth.example", "https://", "https://a@b", "https://auth.example/a/../b", "https://auth.example/a?b"]
)
def test_what_is_no_url(url: str) -> None:
    if url.endswith("?b"):
        assert taken_apart(url)[1] == "/a"
        return
    with pytest.raises(NoUrl):
        taken_apart(url)


@pytest.mark.parametrize("answer", [Answer(404), Answer(200, {}, b"<html>"), Answer(200, {}, b"[]"), Answer(502), Answer(200, {}, b"{}")])
def test_what_is_not_sluice(answer: Answer) -> None:
    with pytest.raises(Unreachable):
        list(findings(*taken_apart("https://auth.example"), lambda path, headers: answer))


async def test_it_asks_a_real_listener_and_a_port_where_nobody_is() -> None:
    made = Listener([], CommonSettings(listen=Address("127.0.0.1", 0), metrics_listen=None), FixedClock())
    await made.start()
    try:
        found = await asyncio.to_thread(doctor, f"http://{made.address}")
    finally:
        await made.stop()
    assert [finding.text.partition(":")[0] for finding in found if not finding.good] == ["plain HTTP"]
    with pytest.raises(Unreachable):
        await asyncio.to_thread(doctor, f"http://{made.address}")
