"""An attacker, or a browser that looks ahead, has the log-out asked for without anybody at the browser wanting it."""

from itertools import product

import pytest

from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, OUT

API = f"/api/v3/flows/executor/{OUT}/?query="
WAYS_OUT = (API, f"/if/flow/{OUT}/", "/flows/-/cancel/")
UNASKED: dict[str, dict[str, str]] = {
    "another site's link": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "another site's image": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "a sibling's script": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    "a sibling's script with CORS": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    **{f"{site}: {dest}": {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": dest} for site, dest in product(
        ("same-site", "same-origin", "none"), ("image", "iframe", "frame", "script", "style", "font", "video", "audio", "track", "embed", "object", "manifest"),
    )},
    "a sibling's link": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"},
    "a sibling's script that navigates": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "a sibling's, not said how": {"Sec-Fetch-Site": "same-site"}, "a sibling's in other letters": {"Sec-Fetch-Site": "Same-Site ", "Sec-Fetch-Mode": "navigate"},
    "a frame that navigates": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    "a prefetch": {"Sec-Purpose": "prefetch", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"},
    "a prerender": {"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "a prefetch by a proxy": {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    "an older prefetch": {"Purpose": "prefetch"}, "Firefox's older one": {"X-Moz": "prefetch"}, "Safari's preview": {"X-Purpose": "preview"},
    "an image of an older browser": {"Accept": "image/webp,image/avif,video/*;q=0.8,image/png,image/svg+xml,*/*;q=0.5"},
    "a style sheet of an older browser": {"Accept": "text/css,*/*;q=0.1"}, "a sound": {"Accept": "audio/webm,audio/ogg,*/*;q=0.5"},
    "in other letters": {"SEC-PURPOSE": "PREFETCH"},
}  # fmt: skip
WANTED: dict[str, dict[str, str]] = {
    "an API's client": {},
    "typed": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "our own link": {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"},
    "our own script": {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
}


async def logged_in(browser: Browser) -> None:
    login = f"/api/v3/flows/executor/{AUTH}/?query="
    await browser.get(login)
    await browser.post(login, {"uid_field": "alice"})
    await browser.post(login, {"password": "alice-pw"})
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


@pytest.mark.parametrize("name", UNASKED)
async def test_nobody_is_logged_out_who_did_not_ask(rig: Rig, browser: Browser, name: str) -> None:
    await logged_in(browser)
    steps = len(rig.worker.steps)
    for target in WAYS_OUT:
        answer = await browser.send("GET", target, {"Accept": "text/html, application/json", **UNASKED[name]})
        assert answer.status < 500
        assert "Max-Age=0" not in answer.cookies().get("authentik_session", "")
    assert len(rig.worker.steps) == steps
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("target", WAYS_OUT[:2])
async def test_somebody_who_asks_is_logged_out(rig: Rig, browser: Browser, name: str, target: str) -> None:
    await logged_in(browser)
    await browser.send("GET", target, WANTED[name])
    assert (await browser.get("/api/v3/core/users/me/")).status == 403


async def test_the_page_asks_and_its_link_logs_out(rig: Rig, browser: Browser) -> None:
    await logged_in(browser)
    page = await browser.send("GET", f"/if/flow/{OUT}/", UNASKED["a prerender"])
    assert page.status == 200
    assert f'href="/if/flow/{OUT}/"' in page.text
    await browser.send("GET", f"/if/flow/{OUT}/", WANTED["our own link"])
    assert (await browser.get("/api/v3/core/users/me/")).status == 403


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE"])
async def test_only_a_get_logs_out(rig: Rig, browser: Browser, method: str) -> None:
    await logged_in(browser)
    for target in WAYS_OUT:
        await browser.send(method, target)
    assert (await browser.get("/api/v3/core/users/me/")).status == 200
