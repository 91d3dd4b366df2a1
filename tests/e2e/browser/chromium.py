"""Chromium without JavaScript, and one of its tabs as its visitor has it: what is there to read, to fill in, to press."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

WAIT_S: Final = 60.0
NO_SCRIPT: Final = {"profile.managed_default_content_settings.javascript": 2}
FLAGS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-proxy-server",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_ANOTHER_IS_HERE: Final = """
return performance.timeOrigin !== arguments[0] && document.readyState === 'complete'
  && !document.querySelector('[data-goes-on]');
"""
"""A page that says "still working", as on a slow machine, goes on by itself: it is not yet the one that is waited for."""
_STATUS: Final = "return performance.getEntriesByType('navigation')[0]?.responseStatus"


def missing() -> str:
    """What this machine lacks to run Chromium, "" if nothing."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)} (Debian: chromium, chromium-driver)" if lacking else ""


def started(profile: Path, *more: str) -> Chrome:
    """A Chromium with a profile of its own, and these flags beside ours. Both programs are named, so Selenium looks for nothing on the network."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, *more, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", NO_SCRIPT)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(WAIT_S)
    return driver


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it would be sent: where to, and its fields, the hidden ones included."""

    target: str
    fields: dict[str, str]


class Tab:
    """One tab. Whatever is asked of it brings it to the front first, so two tabs can be used in turn."""

    def __init__(self, driver: Chrome, base_url: str) -> None:
        self._driver = driver
        self._handle = driver.current_window_handle
        self._base_url = base_url

    @property
    def driver(self) -> Chrome:
        """Chromium, with this tab in front."""
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def another(self) -> "Tab":
        """Another tab of the same browser: the same cookies, a history of its own."""
        self.driver.switch_to.new_window("tab")
        return Tab(self._driver, self._base_url)

    def open(self, path: str) -> None:
        """Go there, as by the address bar."""
        self.driver.get(self._base_url + path)
        self._arrived(0)

    @property
    def path(self) -> str:
        """Where this tab is, without the query."""
        return urlsplit(self.driver.current_url).path

    @property
    def title(self) -> str:
        """The title."""
        return self.driver.title

    @property
    def text(self) -> str:
        """What is there to read."""
        return self.find("main").text

    def find(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def has(self, selector: str) -> bool:
        """Whether there is such an element."""
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def send(self, **fields: str) -> None:
        """Fill in these fields and press the form's button."""
        for name, value in fields.items():
            self.find(f"[name={name}]").send_keys(value)
        self.press("button")

    def press(self, selector: str) -> None:
        """Click on a button or link, and wait for the page that it leads to."""
        self.and_then(self.find(selector).click)

    def type(self, *keys: str) -> None:
        """Press these keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def and_then(self, act: Callable[[], object]) -> None:
        """Do something that leads to another page, and wait for that page."""
        old = self.measured("return performance.timeOrigin")
        act()
        self._arrived(old)

    def _arrived(self, old: float) -> None:
        # While one page goes and the next one comes, Chromium's driver may know neither.
        wait = WebDriverWait(self._driver, WAIT_S, ignored_exceptions=(WebDriverException,))
        wait.until(lambda driver: driver.execute_script(_ANOTHER_IS_HERE, old) and not _told_to_come_back(driver))

    def form(self) -> Form:
        """The form that is shown."""
        inputs = self.driver.find_elements(By.CSS_SELECTOR, "form input")
        fields = {one.get_attribute("name") or "": one.get_attribute("value") or "" for one in inputs}
        return Form((self.find("form").get_dom_attribute("action") or ""), fields)

    def cookies(self) -> dict[str, str]:
        """The cookies that this page is sent, HttpOnly ones included."""
        return {one["name"]: one["value"] for one in self.driver.get_cookies()}

    def emulate(self, command: str, **parameters: Any) -> None:
        """Tell Chromium to be on another device."""
        self.driver.execute_cdp_cmd(f"Emulation.{command}", parameters)

    @contextmanager
    def screen(self, width: int) -> Iterator[None]:
        """Have a screen of so many CSS pixels for a while."""
        self.emulate("setDeviceMetricsOverride", width=width, height=568, deviceScaleFactor=1, mobile=False)
        yield
        self.emulate("clearDeviceMetricsOverride")

    def measured(self, script: str) -> Any:
        """What a script of the test returns; it runs by the debugger, beside a page that may run none."""
        return self.driver.execute_script(script)


def _told_to_come_back(driver: Chrome) -> bool:
    """Whether this page is a 503; if so, it is asked for again, as a person would after a while."""
    if driver.execute_script(_STATUS) != 503:
        return False
    time.sleep(1)
    driver.refresh()
    return True


def fresh_tab(driver: Chrome, base_url: str) -> Tab:
    """A tab with nothing behind it: no cookies, no history, no other tab, no complaints in the log."""
    old = driver.window_handles
    driver.switch_to.new_window("tab")
    fresh = driver.current_window_handle
    for handle in old:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(fresh)
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    for log in ("browser", "performance"):
        driver.get_log(log)  # type: ignore[no-untyped-call]
    return Tab(driver, base_url)
