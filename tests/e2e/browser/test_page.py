"""The pages for whoever has no mouse, no large screen, no eyes for pale grey: by keyboard, at 320 px, read aloud, in the dark."""

from collections.abc import Callable
from typing import Final

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.e2e.browser.chromium import Tab, fresh_tab
from tests.e2e.browser.looking import NARROW, Look, Markup, look_at
from tests.e2e.browser.visiting import ACCOUNT, LOGIN, PASSWORD, log_in
from tests.e2e.sluice_process import SluiceUp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG_NAME: Final = "somebody-with-a-name-of-many-letters-and-then-some@" + "example-" * 7 + "example.com"
NEEDS_A_NAME: Final = ("RootWebArea", "textbox", "button", "link", "heading", "image", "group")


def nobody(tab: Tab) -> None:
    tab.open(ACCOUNT)


def no_such_flow(tab: Tab) -> None:
    tab.open("/if/flow/no-such-flow/")


def name(tab: Tab) -> None:
    tab.open(LOGIN)


def empty_name(tab: Tab) -> None:
    name(tab)
    tab.send()


def password(tab: Tab) -> None:
    name(tab)
    tab.send(uid_field=LONG_NAME)


def wrong_password(tab: Tab) -> None:
    password(tab)
    tab.send(password="a wrong one")


def denied(tab: Tab) -> None:
    password(tab)
    for _ in range(5):
        tab.send(password="a wrong one")


def account(tab: Tab) -> None:
    log_in(tab, LONG_NAME)


@pytest.fixture(scope="module")
def somebody(up: SluiceUp) -> None:
    up.command("users", "create", LONG_NAME, "--password-stdin", "--name", "N" * 80, "--email", LONG_NAME, stdin=f"{PASSWORD}\n")


@pytest.fixture(
    scope="module",
    params=[nobody, no_such_flow, name, empty_name, password, wrong_password, denied, account],
    ids=lambda go: go.__name__.replace("_", " "),
)
def look(request: pytest.FixtureRequest, driver: Chrome, up: SluiceUp, somebody: None) -> Look:
    """Each page, looked at once for all tests."""
    tab = fresh_tab(driver, up.base_url)
    go: Callable[[Tab], None] = request.param
    go(tab)
    return look_at(tab)


def test_it_fits_a_narrow_screen_and_a_finger(look: Look) -> None:
    assert look.width <= NARROW
    for target in look.targets:
        assert 0 <= target.left < target.right <= NARROW, target
        # WCAG 2.2, 2.5.8; a link alone on its line has its line for a target.
        assert target.height >= 24 or target.markup.startswith("<a href"), target


def test_its_text_stands_out_from_its_ground_in_the_light_and_in_the_dark(look: Look) -> None:
    assert len({text.ground for text in look.texts}) >= 2
    for text in look.texts:
        assert text.contrast >= 4.5, text  # WCAG 2.2, 1.4.3


def test_it_can_be_read_aloud(look: Look) -> None:
    assert look.title
    assert look.roles()["main"] == look.roles()["heading"] == 1
    assert [one for one in look.told if one["role"] in NEEDS_A_NAME and not one["name"]] == []


def test_its_markup_is_whole(look: Look) -> None:
    assert look.source.startswith("<!doctype html>")
    markup = Markup(look.source)
    assert markup.open == []
    assert markup.language == "en"
    assert set(markup.ids.values()) == {1}
    assert markup.named <= set(markup.ids)


def test_what_is_wrong_is_read_with_its_field(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.send(uid_field="akadmin")
    tab.send(password="a wrong one")
    look = look_at(tab)
    (field,) = (one for one in look.told if one["role"] == "textbox")
    assert (field["name"], field["description"], field["invalid"]) == ("Password", "Invalid password", "true")
    assert field["required"]
    assert look.roles()["alert"] == 1


def test_a_login_needs_the_keyboard_only(tab: Tab) -> None:
    tab.open(LOGIN)
    tab.and_then(lambda: tab.type("akadmin", Keys.ENTER))  # the field has the focus from the start
    assert focused(tab) == "password"
    assert order(tab, 2) == ["Continue", "Not you?"]
    tab.and_then(tab.driver.refresh)
    tab.and_then(lambda: tab.type("a wrong one", Keys.TAB, Keys.ENTER))
    assert focused(tab) == "password"
    assert tab.has("#password-error")
    tab.and_then(lambda: tab.type(PASSWORD, Keys.ENTER))
    assert tab.path == ACCOUNT
    assert order(tab, 1) == ["Log out"]
    tab.and_then(lambda: tab.type(Keys.ENTER))
    tab.open(ACCOUNT)
    assert "You are not logged in." in tab.text


def focused(tab: Tab) -> str:
    """The name of the field, or the text of the button or link, that the keyboard talks to."""
    element = tab.driver.switch_to.active_element
    return element.get_dom_attribute("name") or element.text


def order(tab: Tab, steps: int) -> list[str]:
    """What Tab leads to; each shows that it has the focus."""
    met = []
    for _ in range(steps):
        tab.type(Keys.TAB)
        met.append(focused(tab))
        style = tab.measured("const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]")
        assert style == ["solid", "3px"], met[-1]
    return met
