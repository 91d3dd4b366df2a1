"""Another site's page makes a browser send our forms; honest browsers and badly told fronts are let through.

The table is written out here once more, by hand: every word of `Sec-Fetch-Site` x every kind of `Origin` x token or none.
"""

import pytest

from shared.web.client import Clients
from shared.web.forgery import TABLE
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH
from tests.integration.edge.test_pages import hidden

PAGE = f"/if/flow/{AUTH}/"
API = f"/api/v3/flows/executor/{AUTH}/"
OURS, THEIRS = "http://127.0.0.1", "https://evil.example"
T, N = "only with our token", "never"
A = "always"
#         site           own  none null other
WANTED = {
    "same-origin": (A, A, T, T),
    "none": (A, T, T, N),
    None: (A, T, N, N),
    "same-site": (N, N, N, N),
    "cross-site": (N, N, N, N),
    "a word of 2031": (A, T, N, N),
}
ORIGINS = ("own", None, "null", "other")
CASES = [(site, origin, row[n]) for site, row in WANTED.items() for n, origin in enumerate(ORIGINS)]


def test_the_table_has_a_row_for_every_word_that_browsers_send() -> None:
    assert set(TABLE) == {"same-origin", "same-site", "cross-site", "none", ""}


def sent_by(rig: Rig, site: str | None, origin: str | None) -> dict[str, str]:
    origins = {"own": rig.url, "other": THEIRS}
    named = {"Origin": origins.get(origin, origin)} if origin else {}
    return {**named, **({"Sec-Fetch-Site": site} if site else {})}


async def sent(browser: Browser, headers: dict[str, str], fields: dict[str, str]) -> int:
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    answer = await browser.send("POST", PAGE, {"Content-Type": "application/x-www-form-urlencoded", **headers}, body)
    return answer.status


@pytest.mark.parametrize("token", ["good", "missing", "another browser's"])
@pytest.mark.parametrize(("site", "origin", "wanted"), CASES)
async def test_a_form_is_taken_by_strong_signs_and_never_from_another_site(
    rig: Rig, browser: Browser, site: str | None, origin: str | None, wanted: str, token: str
) -> None:
    other = await browser.get(PAGE)
    browser.jar.clear()
    fields = {**hidden(await browser.get(PAGE)), "uid_field": "alice"}
    if token != "good":
        fields["sluice_csrf"] = "" if token == "missing" else hidden(other)["sluice_csrf"]
    taken = await sent(browser, sent_by(rig, site, origin), fields) == 303
    assert taken is (wanted == A or (wanted == T and token == "good"))
    assert len(rig.worker.bodies) == int(taken)


@pytest.mark.parametrize(("site", "origin", "wanted"), CASES)
async def test_json_of_nobody_needs_no_token_for_another_sites_form_cannot_send_it(
    rig: Rig, browser: Browser, site: str | None, origin: str | None, wanted: str
) -> None:
    await browser.get(API)
    answer = await browser.send("POST", API, {"Content-Type": "application/json", **sent_by(rig, site, origin)}, b'{"uid_field":"alice"}')
    assert (answer.status == 302) is (wanted != N)
    assert len(rig.worker.bodies) == int(wanted != N)


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1.evil.example", "http://evil.example/http://127.0.0.1", "http://127.0.0.1@evil.example", "https://127.0.0.1",
        "http://127.0.0.2", "http://localhost", "", "http://", "file://", "http://127.0.0.1 http://evil.example", "chrome-extension://abc",
    ],
)  # fmt: skip
async def test_what_only_looks_like_our_origin_is_not_ours(rig: Rig, browser: Browser, origin: str) -> None:
    port = rig.url.rpartition(":")[2]
    fields = {**hidden(await browser.get(PAGE)), "uid_field": "alice"}
    origin = origin.replace("127.0.0.1", f"127.0.0.1:{port}") if origin.endswith("127.0.0.1") and "evil" not in origin else origin
    assert await sent(browser, {"Origin": origin}, fields) == 403
    assert rig.worker.bodies == []


async def test_a_refusal_names_both_places_and_what_to_change(rig: Rig, browser: Browser) -> None:
    page = await browser.send("POST", PAGE, {"Origin": "https://Auth.Example:443", "Accept": "text/html"}, b"")
    assert page.status == 403
    for text in ("https://auth.example", rig.url, "SLUICE_TRUSTED_PROXIES", "sluice doctor https://auth.example"):
        assert text in page.text
    [facts] = rig.records.facts
    assert {"browser": "https://auth.example", "ours": rig.url, "change": "SLUICE_TRUSTED_PROXIES"}.items() <= facts.items()


async def test_an_attackers_page_is_told_nothing_of_settings(rig: Rig, browser: Browser) -> None:
    page = await browser.send("POST", PAGE, {"Origin": THEIRS, "Sec-Fetch-Site": "cross-site", "Accept": "text/html"}, b"")
    assert (page.status, "Another site" in page.text, "SLUICE_" in page.text, "evil" in page.text) == (403, True, False, False)
    assert "change" not in rig.records.facts[0]


async def test_what_is_no_origin_is_quoted_nowhere(rig: Rig, browser: Browser) -> None:
    page = await browser.send("POST", PAGE, {"Origin": "https://<script>canary", "Accept": "text/html"}, b"")
    assert (page.status, "canary" in page.text, "canary" in repr(rig.records.facts)) == (403, False, False)


class TestBehindAFront:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.0/8"])

    SPELLINGS = (
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example:443"},
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "AUTH.example."},
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example", "X-Forwarded-Port": "443"},
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example", "X-Forwarded-Port": "80"},
        {"Forwarded": 'for=192.0.2.1;host="auth.example:443";proto=https'},
    )

    @pytest.mark.parametrize("said", SPELLINGS)
    @pytest.mark.parametrize("origin", ["https://auth.example", "https://auth.example:443", "https://auth.example."])
    async def test_one_place_in_all_its_spellings(self, rig: Rig, browser: Browser, said: dict[str, str], origin: str) -> None:
        page = await browser.send("GET", PAGE, said)
        fields = {**hidden(page), "uid_field": "alice"}
        assert await sent(browser, {**said, "Origin": origin}, fields) == 303

    @pytest.mark.parametrize(
        ("said", "origin", "header"),
        [
            ({"X-Forwarded-Host": "auth.example"}, "https://auth.example", "X-Forwarded-Proto"),
            ({"X-Forwarded-Proto": "https"}, "https://auth.example", "X-Forwarded-Host"),
            ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "auth.example"}, "https://auth.example:8443", "X-Forwarded-Port"),
        ],
    )
    async def test_a_front_that_says_too_little_is_told_which_header(
        self, rig: Rig, browser: Browser, said: dict[str, str], origin: str, header: str
    ) -> None:
        page = await browser.send("POST", PAGE, {**said, "Origin": origin, "Accept": "text/html"}, b"")
        assert (page.status, header in page.text) == (403, True)
        assert rig.records.facts[0]["change"] == header

    async def test_a_modern_browser_gets_through_a_front_that_says_too_little(self, rig: Rig, browser: Browser) -> None:
        fields = {**hidden(await browser.get(PAGE)), "uid_field": "alice"}
        assert await sent(browser, {"Origin": "https://auth.example", "Sec-Fetch-Site": "same-origin"}, fields) == 303
        assert rig.records.kinds == ["origin_hidden"]
        assert rig.records.facts[0]["change"] == "X-Forwarded-Host"
