"""Tabs of one browser: every page is a run of its own from its first answer on, in one flow as well (architecture §3)."""

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


def test_two_people_at_two_tabs_of_one_flow_do_not_meet(tab: Tab, history: History) -> None:
    tab.open(LOGIN + "?next=%2Fif%2Fuser%2F%3Ftab%3Done")
    other = tab.another()
    other.open(LOGIN + "?next=%2Fif%2Fuser%2F%3Ftab%3Dtwo")
    tab.send(uid_field="somebody else")
    other.send(uid_field="akadmin")
    assert (tab.find(".person").text, other.find(".person").text) == ("somebody else", "akadmin")
    for one in (tab, other):  # a reload keeps whose page it is
        one.and_then(one.driver.refresh)
    assert (tab.find(".person").text, other.find(".person").text) == ("somebody else", "akadmin")

    other.send(password=PASSWORD)
    assert other.driver.current_url.endswith("?tab=two")
    # It is about somebody else, so what was proved beside it answers nothing for them.
    tab.send(password="a wrong one")
    assert tab.has("#password-error")
    names = history.names()
    assert (names.count("session.logged_in"), names.count("answer.refused")) == (1, 1)


def test_restored_tabs_each_end_at_their_own_target(tab: Tab, history: History) -> None:
    tabs = [tab, *(tab.another() for _ in range(9))]
    for n, one in enumerate(tabs):
        one.open(f"{LOGIN}?next=%2Fif%2Fuser%2F%3Ftab%3D{n}")
    tabs[3].send(uid_field="akadmin")
    tabs[3].send(password=PASSWORD)
    assert tabs[3].driver.current_url.endswith("?tab=3")
    for n in (0, 1, 2, 4, 5, 6, 7, 8, 9):
        tabs[n].send(uid_field="whoever")
        assert tabs[n].driver.current_url.endswith(f"?tab={n}")
    assert history.names().count("session.logged_in") == 1


def test_of_more_than_eight_tabs_answered_at_once_the_one_left_alone_longest_begins_anew_with_its_target(tab: Tab) -> None:
    tabs = [tab, *(tab.another() for _ in range(8))]
    for n, one in enumerate(tabs):
        one.open(f"{LOGIN}?next=%2Fif%2Fuser%2F%3Ftab%3D{n}")
        one.send(uid_field="akadmin")
    tabs[0].send(password="not taken any more")
    assert tabs[0].has("#uid_field")
    tabs[0].send(uid_field="akadmin")
    tabs[0].send(password=PASSWORD)
    assert tabs[0].driver.current_url.endswith("?tab=0")


def test_a_tab_that_logs_out_logs_the_other_one_out(tab: Tab) -> None:
    log_in(tab)
    other = tab.another()
    other.open(ACCOUNT)
    assert "akadmin" in other.text
    tab.press("a.button")
    other.open(ACCOUNT)
    assert "You are not logged in." in other.text
