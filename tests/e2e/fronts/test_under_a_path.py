"""Under a path of a host, through nginx, both ways of `deploy/gateways/nginx-path.conf`; by forms and in Chromium."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome

from shared.web import seen
from tests.e2e.browser import chromium
from tests.e2e.browser.chromium import fresh_tab
from tests.e2e.fronts.conftest import PASSWORD
from tests.e2e.fronts.fronts import VISITOR, Front

pytestmark = [pytest.mark.front, pytest.mark.slow, pytest.mark.timeout(600)]
LOADED = "return performance.getEntriesByType('resource').map(one => [one.name, one.responseStatus])"
BASES = pytest.mark.parametrize("base", ["/auth", "/login"])


@BASES
def test_a_visit_never_leaves_the_path(nginx_with_paths: Front, base: str) -> None:
    web = nginx_with_paths.web(base)
    assert "akadmin" in web.log_in("akadmin", PASSWORD).text
    assert web.who() == "akadmin"
    web.open(f"{base}/flows/-/default/invalidation/")
    assert web.who() is None


@BASES
def test_sluice_knows_where_browsers_see_it(nginx_with_paths: Front, base: str) -> None:
    for headers in ({}, {"X-Forwarded-Prefix": "/evil"}, {"X-Forwarded-Prefix": "//evil.example"}):
        told = nginx_with_paths.web(base).ask("GET", f"{base}{seen.PATH}", headers).json()
        assert told == {"origin": nginx_with_paths.url, "path": base, "address": VISITOR, "front": "trusted", "unread": []}


def test_nothing_of_it_is_at_the_root(nginx_with_paths: Front) -> None:
    assert nginx_with_paths.web().ask("GET", "/if/flow/default-authentication-flow/").status == 404


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    lacking = chromium.missing()
    if lacking:
        pytest.skip(f"needs Chromium: {lacking}")
    made = chromium.started(tmp_path_factory.mktemp("chromium") / "profile", "--ignore-certificate-errors")
    yield made
    made.quit()


@pytest.mark.browser
@BASES
def test_chromium_logs_in_and_out_with_every_file_loaded(driver: Chrome, nginx_with_paths: Front, base: str) -> None:
    tab = fresh_tab(driver, nginx_with_paths.url)
    tab.open(f"{base}/")
    assert urlsplit(driver.current_url).path.startswith(f"{base}/if/flow/")
    loaded = tab.measured(LOADED)
    assert any(name.endswith(".css") for name, _ in loaded)
    assert all(urlsplit(name).path.startswith(f"{base}/static/") and status in (0, 200) for name, status in loaded), loaded
    assert tab.measured("return getComputedStyle(document.body).backgroundImage").startswith(f'url("{nginx_with_paths.url}{base}/static/')
    tab.send(uid_field="akadmin")
    tab.send(password=PASSWORD)
    assert tab.path == f"{base}/if/user/"
    assert {one["name"]: one["secure"] for one in driver.get_cookies()}["__Host-authentik_session"]
    tab.press("a.button")
    tab.open(f"{base}/if/user/")
    assert "You are not logged in." in tab.text
