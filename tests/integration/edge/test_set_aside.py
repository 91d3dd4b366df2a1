"""A partition that takes no step: visitors go on in a fresh session elsewhere, logged in as before (architecture §4.15)."""

from collections.abc import Callable

import pytest

from shared.contracts.steps import StepReplied, StepRequested
from shared.contracts.topics import SESSION_PARTITIONS
from shared.kernel.ids import partition_of
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.test_protocol import log_in

API = "/api/v3/flows/executor/default-authentication-flow/?query="
ME = "/api/v3/core/users/me/"
JSON = {"Accept": "application/json"}


def aside(rig: Rig, *partitions: int) -> Callable[[StepRequested], StepReplied | None]:
    """A worker that holds these set aside."""

    def answered(step: StepRequested) -> StepReplied | None:
        if partition_of(step.session) not in partitions:
            return None
        return rig.worker.reply(step, "refused", reason="session_over", session_over=True, retry_after_s=30, rotation=0, open=False)

    return answered


@pytest.mark.parametrize("count", [1, 2, 6, 11])
async def test_who_comes_is_placed_elsewhere_and_for_a_while_nobody_is_sent_there(rig: Rig, browser: Browser, count: int) -> None:
    rig.worker.forced = aside(rig, *range(count))
    for _ in range(30):
        browser.jar.clear()
        answer = await browser.get(API, **JSON)
        assert (answer.status, answer.json["component"]) == (200, "ak-stage-identification")
    tried = [partition_of(step.session) for step in rig.worker.steps]
    assert all(tried.count(number) <= 1 for number in range(count)), "once refused, it is left out for 30 s"
    assert len(set(tried) - set(range(count))) >= 1


async def test_where_all_are_set_aside_it_says_so_and_does_not_try_for_ever(rig: Rig, browser: Browser) -> None:
    rig.worker.forced = aside(rig, *range(SESSION_PARTITIONS))
    answer = await browser.get(API, **JSON)
    assert (answer.status, answer.json["error"]) == (503, "session_over")
    assert len(rig.worker.steps) == SESSION_PARTITIONS
    await browser.get(API, **JSON)
    assert len(rig.worker.steps) == SESSION_PARTITIONS + 1


async def test_who_is_logged_in_goes_on_elsewhere_and_stays_logged_in(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    before = rig.worker.steps[-1].session
    rig.worker.forced = aside(rig, partition_of(before))
    answer = await browser.get("/api/v3/flows/executor/o-next-hostile-f/?query=", **JSON)
    assert answer.status == 200
    step = rig.worker.steps[-1]
    assert partition_of(step.session) != partition_of(before)
    assert step.login and step.login.user == 7
    assert (await browser.get(ME)).status == 200


async def test_an_answer_to_a_session_there_begins_the_flow_anew(rig: Rig, browser: Browser) -> None:
    await browser.get(API, **JSON)
    await browser.post(API, {"component": "ak-stage-identification", "uid_field": "alice"}, **JSON)
    bodies = len(rig.worker.bodies)
    rig.worker.forced = aside(rig, partition_of(rig.worker.steps[-1].session))
    answer = await browser.post(API, {"component": "ak-stage-password", "password": "secret"}, **JSON)
    assert answer.status in (200, 302)
    assert (await browser.get(API, **JSON)).json["component"] == "ak-stage-identification"
    assert len(rig.worker.bodies) == bodies, "what was answered is delivered to nobody"


async def test_where_a_flow_is_is_told_from_elsewhere(rig: Rig, browser: Browser) -> None:
    await log_in(browser)
    rig.worker.forced = aside(rig, partition_of(rig.worker.steps[-1].session))
    answer = await browser.get("/flows/-/default/authentication/")
    assert answer.status == 302
    assert rig.worker.steps[-1].kind == "locate"
