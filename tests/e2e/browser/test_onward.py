"""A log-in whose target the front answers with a redirect to another host: the browser gets there, whatever guards the form."""

from urllib.parse import quote

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browser.chromium import fresh_tab
from tests.e2e.browser.front import APPLICATION, LANDED, front
from tests.e2e.browser.visiting import LOGIN, PASSWORD
from tests.e2e.sluice_process import SluiceUp

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_log_in_ends_at_the_application_on_another_host(driver: Chrome, up: SluiceUp) -> None:
    with front(up.base_url) as (before, landing):
        tab = fresh_tab(driver, before)
        tab.open(f"{LOGIN}?next={quote(APPLICATION + '?a=1', safe='')}")
        tab.send(uid_field="akadmin")
        tab.send(password=PASSWORD)
        assert LANDED in tab.text
        assert tab.driver.current_url == f"{landing}{APPLICATION}?a=1"


def test_not_you_begins_anew_and_ends_there_too(driver: Chrome, up: SluiceUp) -> None:
    with front(up.base_url) as (before, _):
        tab = fresh_tab(driver, before)
        tab.open(f"{LOGIN}?next={quote(APPLICATION, safe='')}")
        tab.send(uid_field="somebody-else")
        tab.press(".after a")
        tab.send(uid_field="akadmin")
        tab.send(password=PASSWORD)
        assert LANDED in tab.text


def test_a_target_that_is_refused_is_said_and_the_visitor_goes_on_by_a_link(driver: Chrome, up: SluiceUp) -> None:
    tab = fresh_tab(driver, up.base_url)
    tab.open(f"{LOGIN}?next={quote('/%2f%2fevil.example', safe='')}")
    tab.send(uid_field="akadmin")
    tab.send(password=PASSWORD)
    assert "left out" in tab.text
    tab.press("a.button")
    assert "akadmin" in tab.text
