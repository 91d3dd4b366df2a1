"""Tabs of one browser: a run for each flow, one run for all tabs of a flow (architecture §3)."""

import pytest

from tests.e2e.browser.chromium import Tab
from tests.e2e.browser.visiting import ACCOUNT, LOGIN, PASSWORD, History, log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_flows_in_two_tabs_finish_each_by_itself(tab: Tab, other_flow: str, history: History) -> None:
    tab.open(LOGIN)
    other = tab.another()
    other.open(other_flow)
    assert "the first stage" in other.text
    tab.send(uid_field="akadmin")
    other.send()
    assert "the second stage" in other.text
    assert tab.has("#password")

    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    # No form is bound to who the browser was when it was made.
    other.send()
    assert other.path == ACCOUNT
    each_run_ended_in_one_session(history)


def test_the_flow_of_the_other_tab_may_end_first(tab: Tab, other_flow: str, history: History) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    other = tab.another()
    other.open(other_flow)
    other.send()
    other.send()
    assert other.path != other_flow

    assert tab.has("#password")
    tab.send(password=PASSWORD)
    assert tab.path == ACCOUNT
    assert "akadmin" in tab.text
    each_run_ended_in_one_session(history)


def each_run_ended_in_one_session(history: History) -> None:
    events = history.events()
    started, finished = ([one["facts"]["run"] for one in events if one["event"] == name] for name in ("run.started", "run.finished"))
    assert sorted(started[:2]) == sorted(finished)
    assert len({one["key"] for one in events}) == 1


def test_two_tabs_in_one_flow_share_its_run_and_a_page_left_behind_sends_nothing(tab: Tab, history: History) -> None:
    tab.open(LOGIN)
    other = tab.another()
    other.open(LOGIN)
    tab.send(uid_field="akadmin")

    other.send(uid_field="somebody else")
    assert other.find(".person").text == "akadmin"
    assert other.has("#password")

    other.send(password=PASSWORD)
    assert other.path == ACCOUNT
    assert "akadmin" in other.text
    tab.send(password="a wrong one, too late")
    names = history.names()
    assert names.count("run.finished") == 1
    assert "answer.refused" not in names
    other.open(ACCOUNT)
    assert "akadmin" in other.text


def test_a_tab_that_logs_out_logs_the_other_one_out(tab: Tab) -> None:
    log_in(tab)
    other = tab.another()
    other.open(ACCOUNT)
    assert "akadmin" in other.text
    tab.press("a.button")
    other.open(ACCOUNT)
    assert "You are not logged in." in other.text
