"""Where a page's visitor came for: it survives "Not you?", a refusal, a wrong token; what is refused is said; no chain of a form."""

from urllib.parse import quote

import pytest

from tests.integration.edge.conftest import Browser, Rig, onward
from tests.integration.edge.scripted_worker import AUTH
from tests.integration.edge.test_pages import log_in, send

APP = "/app/?a=1&b=%2F"
PAGE = f"/if/flow/{AUTH}/?next={quote(APP, safe='')}"


async def test_not_you_comes_back_to_the_flow_and_what_it_was_for(rig: Rig, browser: Browser) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="bob")
    page = await browser.get(PAGE)
    assert f'href="/flows/-/cancel/?next={quote(PAGE)}"'.replace("&", "&amp;") in page.text
    gone = await browser.get(f"/flows/-/cancel/?next={quote(PAGE, safe='')}")
    assert (gone.status, gone.headers["Location"]) == (302, PAGE)
    assert onward(await log_in(browser, gone.headers["Location"])) == APP


async def test_who_is_logged_in_leaves_first_and_comes_back(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    gone = await browser.get(f"/flows/-/cancel/?next={quote(PAGE, safe='')}")
    assert gone.headers["Location"] == f"/flows/-/default/invalidation/?next={quote(PAGE, safe='/')}"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "javascript:alert(1)", "/%2f%2fevil.example", ""])
async def test_cancel_leads_nowhere_else(rig: Rig, browser: Browser, target: str) -> None:
    gone = await browser.get(f"/flows/-/cancel/?next={quote(target, safe='')}")
    assert gone.headers["Location"] in ("/", "/flows/-/default/invalidation/")


async def test_a_form_never_ends_in_a_redirect_to_where_it_goes_on(rig: Rig, browser: Browser) -> None:
    done = await log_in(browser, PAGE)
    assert done.status == 200
    assert "Location" not in done.headers
    assert onward(done) == APP


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {}])
async def test_a_form_that_is_not_taken_keeps_it(rig: Rig, browser: Browser, headers: dict[str, str]) -> None:
    await browser.get(PAGE)
    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    refused = await browser.send("POST", PAGE, form, b"sluice_csrf=x&uid_field=alice")
    assert refused.status == 403
    if headers.get("Sec-Fetch-Site") != "cross-site":
        assert f'action="{PAGE}&sluice_run=run0"'.replace("&", "&amp;") in refused.text
