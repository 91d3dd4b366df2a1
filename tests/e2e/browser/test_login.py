"""A visitor with Chromium and no JavaScript: in, who am I, out; and what is said when something is wrong."""

import pytest

from tests.e2e.browser.chromium import Tab
from tests.e2e.browser.visiting import ACCOUNT, LOGIN, LOGOUT, PASSWORD, History, log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_this_browser_runs_no_script(tab: Tab) -> None:
    tab.driver.get("data:text/html,<title>as sent</title><main></main><script>document.title = 'changed by a script'</script>")
    assert tab.title == "as sent"


def test_a_visitor_logs_in_sees_who_they_are_and_logs_out(tab: Tab, history: History) -> None:
    tab.open(LOGIN)
    assert tab.title == "Welcome to authentik!"
    tab.send(uid_field="akadmin")
    assert tab.find(".person").text == "akadmin"
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    assert "akadmin" in tab.text

    tab.open(LOGOUT)
    tab.open(ACCOUNT)
    assert "You are not logged in." in tab.text
    names = history.names()
    assert names.count("session.logged_in") == names.count("session.logged_out") == 1


def test_the_account_page_leads_out_and_in_again(tab: Tab) -> None:
    log_in(tab)
    tab.press("a.button")
    tab.open(ACCOUNT)
    assert "You are not logged in." in tab.text
    tab.press("a.button")
    assert tab.path == LOGIN
    tab.send(uid_field="akadmin")
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    assert "akadmin" in tab.text


def test_a_wrong_password_is_said_beside_its_field_and_the_right_one_still_counts(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    tab.send(password="a wrong one")

    field = tab.find("#password")
    assert tab.title.startswith("Error: ")
    assert field.get_dom_attribute("aria-invalid") == "true"
    error = tab.find(f"#{field.get_dom_attribute('aria-describedby')}")
    assert error.text == "Invalid password"
    # "Next to it" for the eye as well: below the field, nearer than the button.
    assert field.rect["y"] + field.rect["height"] <= error.rect["y"] < tab.find("button").rect["y"]
    assert field.get_attribute("value") == ""
    assert tab.driver.switch_to.active_element == field

    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT


def test_an_empty_name_is_said_beside_its_field(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send()
    assert tab.find("#uid_field-error").text == "This field may not be blank."
    assert tab.driver.switch_to.active_element == tab.find("#uid_field")


def test_a_visitor_who_is_not_the_one_begins_again(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    assert tab.find(".after a").text == "Not you?"
    tab.press(".after a")
    tab.open(LOGIN)
    assert tab.has("#uid_field")
    assert not tab.has(".person")


def test_too_many_wrong_passwords_end_the_run_and_the_page_offers_another(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    for _ in range(5):
        tab.send(password="a wrong one")
    assert tab.title.startswith("Denied: ")
    assert tab.has("[role=alert]")
    tab.press("a.button")
    assert tab.has("#uid_field")


def test_no_page_on_the_way_breaks_its_own_policy_or_lacks_a_file(tab: Tab) -> None:
    log_in(tab)
    tab.press("a.button")
    complaints = tab.driver.get_log("browser")  # type: ignore[no-untyped-call]
    assert complaints == []
