"""Whose session is over before they were finished sees the first page again, and is told why, once."""

from collections.abc import Callable
from typing import Any

import pytest

from services.executor.edge.settings import EdgeSettings
from shared.contracts.steps import StepReplied, StepRequested
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, DUMMY
from tests.integration.edge.test_pages import send
from tests.integration.edge.test_protocol import log_in

API, PAGE = f"/api/v3/flows/executor/{AUTH}/?query=", f"/if/flow/{AUTH}/"
TOLD = "What you had begun here is over: it took too long, or was lost on our side. Please begin again."
ERRORS = {"non_field_errors": [{"string": TOLD, "code": "session_over"}]}
OVER: dict[str, dict[str, Any]] = {
    "ended": {"outcome": "refused", "reason": "session_over"},
    "superseded long ago": {"outcome": "superseded", "reason": "rotation"},
    "its partition is set aside": {"outcome": "refused", "reason": "session_over", "retry_after_s": 30},
}


@pytest.fixture
def edge_settings() -> EdgeSettings:
    """An edge that shows nothing from its cache, as one that was not asked before."""
    return EdgeSettings(secrets=(b"s" * 32,), reply_wait_s=PATIENT_S, cached_views=0)


def ends(rig: Rig, **how: Any) -> Callable[[StepRequested], StepReplied | None]:
    """From now on the session of the last step is over."""
    session = rig.worker.steps[-1].session

    def answered(step: StepRequested) -> StepReplied | None:
        return rig.worker.reply(step, session_over=True, rotation=0, open=False, **how) if step.session == session else None

    return answered


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", OVER)
async def test_a_program_half_way_is_told(rig: Rig, browser: Browser, how: str, method: str) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    rig.worker.forced = ends(rig, **OVER[how])
    answer = await (browser.get(API) if method == "GET" else browser.post(API, {"password": "alice-pw"}))
    assert (answer.status, answer.json["component"]) == (200, "ak-stage-identification")
    assert answer.json["response_errors"] == ERRORS
    again = await browser.get(API)
    assert again.json["component"] == "ak-stage-identification" and "response_errors" not in again.json
    await log_in(browser)
    assert (await browser.get("/api/v3/core/users/me/")).status == 200


@pytest.mark.parametrize("how", OVER)
async def test_a_person_half_way_is_told(rig: Rig, browser: Browser, how: str) -> None:
    await send(browser, PAGE, await browser.get(PAGE), uid_field="alice")
    half_way = await browser.get(PAGE)
    rig.worker.forced = ends(rig, **OVER[how])
    answer = await send(browser, PAGE, half_way, password="alice-pw")
    assert answer.status == 200 and 'name="uid_field"' in answer.text
    assert TOLD in answer.text
    assert TOLD not in (await browser.get(PAGE)).text


async def test_who_awaits_a_reply_is_told(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    with rig.silence():
        await browser.post(API, {"uid_field": "alice"})
    rig.worker.forced = ends(rig, **OVER["ended"])
    assert (await browser.get(API)).json["response_errors"] == ERRORS


async def test_who_had_begun_nothing_or_is_logged_in_is_told_nothing(rig: Rig, browser: Browser) -> None:
    await browser.get(API)
    await browser.post(API, {"uid_field": "alice"})
    rig.worker.forced = ends(rig, **OVER["ended"])
    assert "response_errors" not in (await browser.get(f"/api/v3/flows/executor/{DUMMY}/?query=")).json, "another flow"
    rig.worker.forced = None
    browser.jar.clear()
    await log_in(browser)
    rig.worker.forced = ends(rig, **OVER["ended"])
    assert "response_errors" not in (await browser.get(API)).json
