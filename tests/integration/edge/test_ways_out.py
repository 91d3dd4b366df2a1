"""What an edge says to guesses at flows, to tokens where none belong, and to a browser that has too many cookies."""

import aiohttp
import pytest

from services.executor.edge.cookies import Cookies
from services.executor.edge.unknown_flows import MISSES
from shared.web.security_log import PER_WINDOW
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, DUMMY

EXECUTOR = "/api/v3/flows/executor/"
TOO_MANY = "; ".join(f"c{n}=1" for n in range(60))
CLEAR = "/-/cookies/clear/"


async def test_who_guesses_at_flows_has_to_wait_while_flows_that_are_shown_go_on(rig: Rig, browser: Browser) -> None:
    assert (await browser.get(f"{EXECUTOR}{AUTH}/?query=")).status == 200
    for n in range(MISSES):
        assert (await browser.get(f"{EXECUTOR}guess-{n}/?query=")).status == 404
    asked = len(rig.worker.steps)
    for refused in (
        await browser.get(f"{EXECUTOR}one-more/?query="),
        await browser.post(f"{EXECUTOR}one-more/?query=", {}),
        await browser.get("/if/flow/one-more/"),
        await browser.get(f"{EXECUTOR}{DUMMY}/?query="),
    ):
        assert (refused.status, refused.json["error"]) == (429, "flow_guessing")
        assert 0 < int(refused.headers["Retry-After"]) <= 21
    assert len(rig.worker.steps) == asked
    assert rig.records.kinds == ["flow_guessing"] * 4
    assert (await browser.post(f"{EXECUTOR}{AUTH}/?query=", {"uid_field": "alice"})).status == 302


async def test_who_shares_a_guessers_address_can_begin_a_login_and_go_on_with_one_at_an_edge_that_is_new(
    rig: Rig, browser: Browser, http: aiohttp.ClientSession
) -> None:
    """Nobody was shown a flow by this edge yet: `browser` was by another one, `newcomer` by none."""
    await browser.get(f"/if/flow/{DUMMY}/")
    _, browser.url = await rig.another_edge()
    guesser, newcomer = Browser(browser.url, http), Browser(browser.url, http)
    for n in range(MISSES):
        assert (await guesser.get(f"{EXECUTOR}guess-{n}/?query=")).status == 404
    assert (await newcomer.get(f"/if/flow/{AUTH}/")).status == 429
    assert (await browser.get(f"/if/flow/{DUMMY}/")).status == 200
    sent_to = (await newcomer.get("/flows/-/default/authentication/")).headers["Location"]
    assert (await newcomer.get(sent_to)).status == 200
    assert (await guesser.get(f"{EXECUTOR}one-more/?query=")).status == 429


async def test_an_earlier_commands_reply_makes_no_other_flow_known(rig: Rig, browser: Browser) -> None:
    page = await browser.get(f"/if/flow/{AUTH}/")
    first = rig.worker.steps[0]
    command = Cookies(rig.settings).command(first.session, first.command, "", b"")
    assert page.status == 200
    for n in range(MISSES + 1):
        shown = await browser.get(f"{EXECUTOR}guess-{n}/?query=", Cookie=f"{_cookie(browser)}; sluice_command={command}")
        assert (shown.status, shown.json["component"], "sluice_step" in shown.cookies()) == (200, "ak-stage-identification", False)
    for n in range(MISSES):
        assert (await browser.get(f"{EXECUTOR}guess-{n}/?query=")).status == 404
    assert (await browser.get(f"{EXECUTOR}guess-{MISSES}/?query=")).status == 429


def _cookie(browser: Browser) -> str:
    return "; ".join(f"{name}={value}" for (name, path), value in browser.jar.items() if path == "/")


async def test_a_method_that_takes_no_step_makes_no_flow_known(rig: Rig, browser: Browser) -> None:
    await browser.get(f"{EXECUTOR}{AUTH}/?query=")
    await browser.send("PUT", f"{EXECUTOR}{DUMMY}/")
    for n in range(MISSES):
        await browser.get(f"{EXECUTOR}guess-{n}/?query=")
    assert (await browser.get(f"{EXECUTOR}{DUMMY}/?query=")).status == 429


@pytest.mark.parametrize("target", [f"{EXECUTOR}{AUTH}/", "/api/v3/core/users/me/"])
@pytest.mark.parametrize(
    ("query", "whose"),
    [
        ("access_token=nobodys", None),
        ("query=&Token=", None),
        ("access_token=good-token", 7),
        ("query=&x=good-token", 7),
        ("authorization=Bearer%20good-token", 7),
    ],
)
async def test_a_token_in_the_query_is_refused_and_the_record_says_whose_has_to_be_changed(
    rig: Rig, browser: Browser, target: str, query: str, whose: int | None
) -> None:
    refused = await browser.get(f"{target}?{query}", Authorization="Bearer good-token")
    assert (refused.status, refused.json["error"]) == (400, "token_in_query")
    assert "good-token" not in refused.text
    assert rig.records.kinds == ["token_in_query" if whose is None else "token_exposed"]
    assert rig.records.facts[0].get("token_to_change_of_user") == whose
    assert "good-token" not in repr(rig.records)
    assert rig.worker.steps == []


async def test_a_flood_of_made_up_tokens_hides_no_record_of_a_good_one(rig: Rig, browser: Browser) -> None:
    for n in range(PER_WINDOW + 1):
        assert (await browser.get(f"{EXECUTOR}{AUTH}/?token=made-up-{n}")).status == 400
    assert (await browser.get(f"{EXECUTOR}{AUTH}/?token=good-token")).status == 400
    assert rig.records.facts[-1].get("token_to_change_of_user") == 7


@pytest.mark.parametrize("cookies", [TOO_MANY, "a=" + "b" * 4097, "a=" + "b" * 20_000])
async def test_a_browser_with_too_many_cookies_is_offered_to_clear_them(rig: Rig, browser: Browser, cookies: str) -> None:
    page = await browser.get(f"/if/flow/{AUTH}/", Accept="text/html", Cookie=cookies)
    assert page.status == 431
    assert f'<form method="post" action="{CLEAR}">' in page.text
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    cleared = await browser.send("POST", CLEAR, {"Cookie": cookies, "Origin": rig.url})
    assert (cleared.status, cleared.headers["Location"], cleared.headers["Clear-Site-Data"]) == (303, "/", '"cookies"')
    assert rig.worker.steps == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "SELF", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_another_site_clears_nobodys_cookies(rig: Rig, browser: Browser, headers: dict[str, str]) -> None:
    sent = {name: value.replace("SELF", rig.url) for name, value in headers.items()}
    refused = await browser.send("POST", CLEAR, sent)
    assert (refused.status, refused.json["error"]) == (403, "foreign_origin")
    assert "Clear-Site-Data" not in refused.headers
    assert (await browser.get(CLEAR)).status == 405


async def test_other_refusals_offer_nothing(rig: Rig, browser: Browser) -> None:
    page = await browser.get("/nowhere/", Accept="text/html")
    assert (page.status, "<form" in page.text) == (404, False)
    assert "form-action 'none'" in page.headers["Content-Security-Policy"]
