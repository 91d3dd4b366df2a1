"""Steps of visitors, in words: what a session comes to, told by its replies and its history."""

import asyncio
from typing import Any, ClassVar

import pytest
from opentelemetry.metrics import NoOpMeter

from services.executor.common.ports import Busy
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.sessions import Event
from shared.kernel.errors import Unavailable
from shared.telemetry.metrics import Metrics
from tests.unit.executor.world import ALICE, Browser, World, stage


async def log_in(browser: Browser, slug: str = "login") -> None:
    await browser.get(slug)
    await browser.post({"uid_field": "alice"}, slug)
    reply = await browser.post({"password": "secret"}, slug)
    assert reply.login


def events(history: list[Any]) -> list[str]:
    accepted = AcceptedTransitions()
    out: list[str] = []
    for received in history:
        if accepted.accepts(received.envelope):
            found: tuple[Event, ...] = received.body.events
            out += [event.event for event in found]
    return out


async def test_a_login_from_the_first_get_to_the_redirect() -> None:
    async with World() as world:
        browser = world.browser()
        first = await browser.get()
        assert first.view and first.view.component == "ak-stage-identification" and first.outcome == "offered"
        assert await world.history(first.session) == []
        second = await browser.post({"uid_field": "alice"})
        assert second.view and second.view.component == "ak-stage-password" and second.advanced and second.view.person == "alice"
        end = await browser.post({"password": "secret"})
        assert end.view and (end.view.kind, end.view.to) == ("redirect", "/")
        assert end.login and (end.login.user, end.login.methods, end.rotation) == (ALICE.pk, ("password",), 1)
        assert not end.open
        assert events(await world.history(end.session)) == [
            "session.started", "run.started", "stage.challenged", "stage.passed", "stage.challenged",
            "stage.passed", "stage.passed", "session.logged_in", "run.finished", "session.rotated",
        ]  # fmt: skip
        assert [[order.kind for order in orders] for orders in world.directory.performed.values()] == [["directory.login.start"]]


async def test_the_secret_is_nowhere_in_the_log() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        await browser.post({"password": "hunter2-unlikely"})
        for received in await world.history(browser.session):
            assert "hunter2-unlikely" not in repr(received.body)


async def test_the_same_command_twice_runs_once_and_is_answered_twice() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        step = browser.compose("answer", "login", {"password": "secret"})
        first = await world.ask(step)
        second = await world.ask(step)
        assert first == second and first.login
        assert len([ask for _, ask in world.directory.asked if ask.kind == "directory.password.verify"]) == 1


async def test_a_double_click_that_arrives_at_the_same_moment_runs_once() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        one, two = (browser.compose("answer", "login", {"password": "nope"}) for _ in range(2))
        first, second = await asyncio.gather(world.ask(one), world.ask(two))
        assert second == first.model_copy(update={"command": two.command})
        assert len([ask for _, ask in world.directory.asked if ask.kind == "directory.password.verify"]) == 1


async def test_two_tabs_in_two_flows_finish_independently() -> None:
    async with World({"login": World().planner.flows["login"], "other": (stage("dummy"),)}) as world:
        tab = world.browser()
        await tab.get("login")
        await tab.get("other")
        await tab.post({"uid_field": "alice"}, "login")
        done = await tab.post({}, "other")
        assert done.view and done.view.kind == "redirect" and done.open
        end = await tab.post({"password": "secret"}, "login")
        assert end.login


async def test_a_log_out_ends_the_session_and_the_login() -> None:
    async with World({"login": World().planner.flows["login"], "out": (stage("user_logout"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        reply = await browser.get("out", query="next=/x")
        assert reply.logged_out and reply.session_over and reply.view and reply.view.to == "/x"
        assert "session.ended" in events(await world.history(reply.session))


async def test_a_refused_login_gives_no_cookie_and_denies() -> None:
    async with World() as world:
        world.directory.refuse = "user_disabled"
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        reply = await browser.post({"password": "secret"})
        assert reply.login is None and reply.view and reply.view.kind == "denied" and reply.session_over


async def test_an_unknown_flow_writes_no_transition() -> None:
    async with World() as world:
        browser = world.browser()
        step = browser.compose("start", "nowhere", None)
        assert (await world.ask(step)).outcome == "unknown_flow"
        assert await world.history(step.session) == []


async def test_a_full_hash_pool_answers_busy_and_records_nothing() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        before = len(await world.history(browser.session))
        world.directory.fail = Busy(2)
        reply = await browser.post({"password": "secret"})
        assert (reply.outcome, reply.retry_after_s) == ("busy", 2)
        assert len(await world.history(browser.session)) == before
        world.directory.fail = None
        assert (await browser.post({"password": "secret"})).login


@pytest.mark.parametrize("who", ["directory", "policy"])
async def test_somebody_away_leaves_the_session_as_it_was(who: str) -> None:
    flows = {"f": (stage("identification", {"user_fields": ("username",)}), stage("dummy", guarded=True))}
    async with World(flows) as world:
        browser = world.browser()
        await browser.get("f")
        getattr(world, who).fail = Unavailable("away")
        reply = await browser.post({"uid_field": "alice"}, "f")
        assert (reply.outcome, reply.retry_after_s) == ("unavailable", 1)
        getattr(world, who).fail = None
        assert (await browser.post({"uid_field": "alice"}, "f")).advanced


async def test_orders_wait_for_postgres_and_so_does_the_answer() -> None:
    async with World() as world:
        world.directory.away_for_orders = 2
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        assert (await browser.post({"password": "secret"})).login
        assert len(world.directory.performed) == 1


async def test_a_step_past_its_deadline_is_dropped() -> None:
    async with World() as world:
        browser = world.browser()
        step = browser.compose("start", "login", None, deadline_us=world.clock.now_us() - 1)
        with pytest.raises(TimeoutError):
            await world.ask(step, timeout=0.2)
        assert await world.history(step.session) == []


async def test_a_step_is_measured_by_the_stage_that_it_met() -> None:
    class Noting(Metrics):
        steps: ClassVar[list[tuple[str, str]]] = []

        def step(self, stage: str, outcome: str, seconds: float) -> None:
            self.steps.append((stage, outcome))

    noting = Noting(NoOpMeter("test"))
    world = World()
    world.watch = lambda: noting
    async with world:
        await log_in(world.browser())
    assert noting.steps == [("", "offered"), ("", "accepted"), ("password", "accepted")]
