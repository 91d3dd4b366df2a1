"""What these tests do again and again: log in by the forms, and read what came to pass."""

import json
from typing import Any, Final

from shared.kernel.clock import SystemClock
from tests.e2e.browser.chromium import Tab
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, INVALIDATION

PASSWORD: Final = "the password of akadmin"
LOGIN: Final = f"/if/flow/{AUTHENTICATION}/"
LOGOUT: Final = f"/if/flow/{INVALIDATION}/"
ACCOUNT: Final = "/if/user/"


def log_in(tab: Tab, name: str = "akadmin", password: str = PASSWORD) -> None:
    """Log in from wherever this tab is; it ends at the account's page."""
    tab.open(LOGIN)
    tab.send(uid_field=name)
    tab.send(password=password)
    assert tab.path == ACCOUNT


class History:
    """What came to pass since this was made, as anybody can read it from the topic of accepted transitions."""

    def __init__(self, up: SluiceUp) -> None:
        self._up = up
        self._since_us = SystemClock().now_us()

    def events(self) -> list[dict[str, Any]]:
        """The events, oldest first."""
        lines = self._up.command("tail", "executor.sessions", "--json", "--from-beginning").stdout.splitlines()
        return [event for event in map(json.loads, lines) if event["envelope"]["time_us"] >= self._since_us]

    def names(self) -> list[str]:
        """The names of the events, oldest first."""
        return [event["event"] for event in self.events()]
