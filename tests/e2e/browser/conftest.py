"""One `sluice up` and one Chromium for the tests of this folder; each test has fresh cookies and tabs."""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browser import chromium
from tests.e2e.browser.chromium import Tab, fresh_tab
from tests.e2e.browser.visiting import PASSWORD, History
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor

OTHER_FLOW: Final = "another-flow"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    lacking = chromium.missing()
    if lacking:
        pytest.skip(f"needs Chromium: {lacking}")
    made = chromium.started(tmp_path_factory.mktemp("chromium") / "profile")
    yield made
    made.quit()


@pytest.fixture(scope="session")
def up(driver: Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    """After Chromium, so that nothing is started where there is none."""
    with SluiceUp(tmp_path_factory.mktemp("browser") / "data", {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD}) as running:
        yield running


@pytest.fixture
def tab(driver: Chrome, up: SluiceUp) -> Tab:
    """A tab with nothing behind it: no cookies, no history, no other tab."""
    return fresh_tab(driver, up.base_url)


@pytest.fixture
def history(up: SluiceUp) -> History:
    return History(up)


@pytest.fixture(scope="session")
def other_flow(up: SluiceUp) -> str:
    """The path of a flow of two dummy stages, made through the API as an administrator would."""
    visitor = Visitor(up.base_url)

    def made(path: str, **body: Any) -> str:
        answer = visitor.ask(f"/api/v3/{path}", body, up.token)
        assert answer.status == 201, answer
        return str(answer.json()["pk"])

    flow = made("flows/instances/", slug=OTHER_FLOW, name="Another flow", title="Another flow", designation="stage_configuration")
    for order, name in enumerate(("the first stage", "the second stage")):
        made("flows/bindings/", target=flow, stage=made("stages/dummy/", name=name), order=order)
    deadline = time.monotonic() + chromium.WAIT_S
    while (shown := visitor.challenge(OTHER_FLOW)).get("name") != "the first stage":
        assert time.monotonic() < deadline, shown
        time.sleep(1)  # who asks for an unknown flow too often is taken for a guesser
    return f"/if/flow/{OTHER_FLOW}/"
