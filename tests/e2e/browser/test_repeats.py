"""What is sent twice, late, from behind or by somebody else achieves nothing."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from selenium.webdriver import ActionChains

from tests.e2e.browser import copied
from tests.e2e.browser.chromium import Tab
from tests.e2e.browser.visiting import ACCOUNT, LOGIN, PASSWORD, History, log_in
from tests.e2e.sluice_process import SluiceUp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SESSION = "authentik_session"
CSRF = "authentik_csrf"


def at_password(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    assert tab.has("#password")


def test_a_double_click_logs_in_once(tab: Tab, history: History) -> None:
    at_password(tab)
    tab.find("#password").send_keys(PASSWORD)
    tab.and_then(ActionChains(tab.driver).double_click(tab.find("button")).perform)
    assert tab.path == ACCOUNT
    assert "akadmin" in tab.text
    names = history.names()
    assert names.count("session.logged_in") == names.count("run.finished") == 1


def test_a_double_click_on_a_wrong_password_counts_once(tab: Tab, history: History) -> None:
    at_password(tab)
    tab.find("#password").send_keys("a wrong one")
    tab.and_then(ActionChains(tab.driver).double_click(tab.find("button")).perform)
    tab.open(tab.form().target)  # if the second click met the next page already, it has sent an empty answer from there
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    assert [one["facts"]["value"] for one in history.events() if one["event"] == "session.counted"] == [1]


@pytest.mark.parametrize("width", [320, 1100])
def test_the_second_click_of_a_slow_double_click_meets_nothing(tab: Tab, width: int) -> None:
    with tab.screen(width):
        at_password(tab)
        tab.find("#password").send_keys(PASSWORD)
        tab.and_then(ActionChains(tab.driver).click(tab.find("button")).perform)
        assert tab.path == ACCOUNT
        ActionChains(tab.driver).click().perform()  # where the pointer still is
        tab.open(ACCOUNT)
        assert "akadmin" in tab.text


@pytest.mark.parametrize("hands", [1, 2], ids=["one after the other", "at once"])
def test_the_same_form_twice_gets_the_same_answer_and_runs_once(tab: Tab, up: SluiceUp, history: History, hands: int) -> None:
    at_password(tab)
    form, cookies = tab.form(), tab.cookies()
    with ThreadPoolExecutor(hands) as pool:
        one, other = pool.map(lambda _: copied.post(up.base_url, form, cookies, password=PASSWORD), range(2))
    assert (one.status, one.location) == (other.status, other.location) == (200, "/")
    assert one.cookies[SESSION] == other.cookies[SESSION] != cookies[SESSION]
    assert history.names().count("session.logged_in") == 1
    assert "akadmin" in copied.get(up.base_url, ACCOUNT, one.cookies).body


def test_the_back_button_after_the_log_in_achieves_nothing(tab: Tab, history: History) -> None:
    log_in(tab)
    mine = tab.cookies()[SESSION]
    for _ in range(2):
        tab.driver.back()
        assert PASSWORD not in tab.driver.page_source
    assert tab.path == LOGIN
    tab.open(ACCOUNT)
    assert "akadmin" in tab.text
    assert tab.cookies()[SESSION] == mine
    assert history.names().count("session.logged_in") == 1


def test_the_back_button_within_the_login_leads_to_a_page_of_its_own(tab: Tab, history: History) -> None:
    at_password(tab)
    tab.driver.back()
    assert tab.path == LOGIN
    assert tab.has("#uid_field")
    tab.driver.forward()
    assert tab.find(".person").text == "akadmin"
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    assert history.names().count("session.logged_in") == 1


def test_the_back_button_after_the_log_out_shows_nobody_and_is_nobody(tab: Tab) -> None:
    log_in(tab)
    tab.press("a.button")
    tab.driver.back()
    assert "akadmin" not in tab.text
    tab.open(ACCOUNT)
    assert "You are not logged in." in tab.text


def test_a_form_from_before_the_log_in_sends_nothing_after_it(tab: Tab, up: SluiceUp, history: History) -> None:
    at_password(tab)
    form, before = tab.form(), tab.cookies()
    tab.send(password=PASSWORD)
    now = tab.cookies()

    late = copied.post(up.base_url, form, now, password="a wrong one")
    assert late.status == 403  # nothing says who sends this, and the token is another's
    stolen = copied.post(up.base_url, form, before, password="another wrong one")
    assert stolen.cookies.get(SESSION, "") == ""
    assert "akadmin" not in copied.get(up.base_url, ACCOUNT, {**before, **stolen.cookies}).body
    names = history.names()
    assert names.count("session.logged_in") == 1
    assert "answer.refused" not in names
    tab.open(ACCOUNT)
    assert "akadmin" in tab.text


def test_a_cookie_planted_before_the_log_in_is_worth_nothing_after_it(tab: Tab, up: SluiceUp, history: History) -> None:
    planted = dict(copied.get(up.base_url, LOGIN, {}).cookies)
    tab.open(ACCOUNT)
    for name in (SESSION, CSRF):
        tab.driver.delete_cookie(name)
        tab.driver.add_cookie({"name": name, "value": planted[name], "path": "/"})
    tab.open(LOGIN)
    assert tab.cookies()[SESSION] == planted[SESSION]
    tab.send(uid_field="akadmin")
    tab.send(password=PASSWORD)
    tab.open(ACCOUNT)
    assert "akadmin" in tab.text
    assert tab.cookies()[SESSION] != planted[SESSION]

    for path in (ACCOUNT, LOGIN, "/api/v3/core/users/me/"):
        answer = copied.get(up.base_url, path, planted)
        assert "akadmin" not in answer.body
        assert SESSION not in answer.cookies
    assert copied.get(up.base_url, "/api/v3/core/users/me/", planted).status == 403
    assert history.names().count("session.logged_in") == 1


def test_a_log_out_ends_a_stolen_cookie_too(tab: Tab, up: SluiceUp) -> None:
    log_in(tab)
    stolen = tab.cookies()
    assert "akadmin" in copied.get(up.base_url, ACCOUNT, stolen).body
    tab.press("a.button")
    assert "You are not logged in." in copied.get(up.base_url, ACCOUNT, stolen).body


def test_a_form_with_a_wrong_token_is_refused_with_the_current_page_and_a_fresh_token(tab: Tab, up: SluiceUp, history: History) -> None:
    at_password(tab)
    form, cookies = tab.form(), tab.cookies()
    refused = copied.post(up.base_url, form, cookies, password=PASSWORD, sluice_csrf="A" * 43)
    assert refused.status == 403
    assert 'id="password"' in refused.body
    assert PASSWORD not in refused.body
    assert refused.cookies[SESSION] == cookies[SESSION]
    assert history.names()[-1] == "stage.challenged"

    token = re.search(r'name="sluice_csrf" value="([^"]+)"', refused.body)
    assert token
    done = copied.post(up.base_url, form, {**cookies, **refused.cookies}, password=PASSWORD, sluice_csrf=token[1])
    assert (done.status, done.location) == (200, "/")


def test_a_visitor_whose_token_is_gone_goes_on(tab: Tab) -> None:
    """The browser says by itself which page sends the form."""
    at_password(tab)
    tab.driver.delete_cookie(CSRF)
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
