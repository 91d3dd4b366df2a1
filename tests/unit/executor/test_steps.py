"""Steps of visitors, in words: what a session comes to, told by its replies and its history."""

import asyncio
from typing import Any, ClassVar

import pytest
from opentelemetry.metrics import NoOpMeter

from services.executor.ports import Busy
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.people import LoginClaims
from shared.contracts.sessions import Event, RunCancelled
from shared.kernel.errors import Unavailable
from shared.telemetry.metrics import Metrics
from tests.unit.executor.world import ALICE, LOGIN_STAGES, Browser, World, stage


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


async def test_a_wrong_password_is_refused_and_counted_and_the_fifth_denies() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        for _ in range(4):
            reply = await browser.post({"password": "nope"})
            assert reply.view and reply.view.errors == {"password": ({"string": "Invalid password", "code": "invalid"},)}
            assert not reply.advanced
        denied = await browser.post({"password": "nope"})
        assert denied.view and (denied.view.kind, denied.view.message) == ("denied", "Unknown error")
        again = await browser.post({"password": "secret"})
        assert again.view and again.view.component == "ak-stage-identification" and "uid_field" in again.view.errors


async def test_the_counter_outlives_a_cancel() -> None:
    async with World() as world:
        browser = world.browser()
        for _ in range(2):
            await browser.get()
            await browser.post({"uid_field": "alice"})
            for _ in range(2):
                await browser.post({"password": "nope"})
            await browser.step("cancel", "login", None)
        await browser.get()
        await browser.post({"uid_field": "alice"})
        denied = await browser.post({"password": "nope"})
        assert denied.view and denied.view.kind == "denied"


async def test_an_answer_without_a_run_starts_one_and_is_given_to_it() -> None:
    async with World() as world:
        reply = await world.browser().post({"uid_field": "alice"})
        assert reply.view and reply.view.component == "ak-stage-password" and reply.advanced


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


async def test_a_stale_step_shows_the_current_state_and_counts_nothing() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        stale = browser.twin()
        await browser.post({"uid_field": "alice"})
        reply = await stale.post({"uid_field": "bob"})
        assert reply.outcome == "current" and reply.view and reply.view.component == "ak-stage-password" and reply.view.person == "alice"


async def test_a_step_of_another_session_is_not_delivered() -> None:
    async with World() as world:
        browser, other = world.browser(), world.browser()
        for one in (browser, other):
            await one.get()
            await one.post({"uid_field": "alice"})
        before = len(await world.history(browser.session))
        reply = await browser.post({"password": "secret"}, shown=other.shown["login"])
        assert reply.outcome == "offered" and reply.view and reply.view.component == "ak-stage-identification"
        assert len(await world.history(browser.session)) == before


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


async def test_a_cookie_from_before_the_login_is_worth_nothing_after_it() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        planted = browser.twin()
        await browser.post({"uid_field": "alice"})
        await browser.post({"password": "secret"})
        reply = await planted.get()
        assert reply.outcome == "superseded" and reply.login is None and not reply.session_over
        world.clock.advance(31)
        reply = await planted.get()
        assert reply.outcome == "superseded" and reply.session_over


async def test_a_log_out_ends_the_session_and_the_login() -> None:
    async with World({"login": World().planner.flows["login"], "out": (stage("user_logout"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        reply = await browser.get("out", query="next=/x")
        assert reply.logged_out and reply.session_over and reply.view and reply.view.to == "/x"
        assert "session.ended" in events(await world.history(reply.session))


async def test_a_log_out_by_nobody_needs_no_session() -> None:
    async with World({"out": (stage("user_logout"),)}) as world:
        reply = await world.browser().get("out")
        assert reply.view and reply.view.to == "/" and not reply.open and not reply.logged_out


async def test_a_refused_login_gives_no_cookie_and_denies() -> None:
    async with World() as world:
        world.directory.refuse = "user_disabled"
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        reply = await browser.post({"password": "secret"})
        assert reply.login is None and reply.view and reply.view.kind == "denied" and reply.session_over


async def test_a_failing_guard_skips_its_stage_and_an_error_does_not() -> None:
    flows = {"f": (stage("dummy", guarded=True), stage("deny"))}
    async with World(flows) as world:
        world.policy.verdicts["b-dummy"] = "fail"
        skipped = await world.browser().get("f")
        assert skipped.view and skipped.view.kind == "denied"
        world.policy.verdicts["b-dummy"] = "error"
        kept = await world.browser().get("f")
        assert kept.view and kept.view.component == "ak-stage-dummy"


async def test_a_stage_that_guarded_survives_a_restart_whatever_its_policy_says_then() -> None:
    flows = {"f": (stage("dummy", guarded=True), stage("password", {"backends": ()}, action="restart"))}
    async with World(flows) as world:
        browser = world.browser()
        first = await browser.get("f")
        assert first.view and first.view.component == "ak-stage-dummy"
        await browser.post({}, "f")
        world.policy.verdicts["b-dummy"] = "fail"
        again = await browser.post({}, "f")
        assert again.view and again.view.component == "ak-stage-dummy"
        assert world.planner.asked[-1].obligations == ("b-dummy",)


async def test_a_deny_stage_that_restarts_does_not_go_round_for_ever() -> None:
    async with World({"f": (stage("deny", action="restart"),)}) as world:
        reply = await world.browser().get("f")
        assert reply.view and reply.view.kind == "denied"


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


async def test_an_old_session_is_over() -> None:
    async with World() as world:
        browser = world.browser()
        await log_in(browser)
        world.clock.advance(25 * 3600)
        reply = await browser.get()
        assert reply.session_over and reply.reason == "session_over"


async def test_a_restart_with_context_keeps_who_was_named_in_the_refused_answer() -> None:
    config = {"user_fields": ("username",), "pretend_user_exists": False}
    async with World({"f": (stage("identification", config, action="restart_with_context"),)}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "nobody"}, "f")
        named = world.planner.asked[-1].pending_user
        assert named and named.username == "nobody"


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


@pytest.mark.parametrize("kind", ["start", "answer"])
@pytest.mark.parametrize("by_now", ["another", "nobody"])
async def test_a_run_that_was_planned_for_a_login_goes_on_with_no_other_and_not_without(by_now: str, kind: str) -> None:
    async with World({"login": LOGIN_STAGES, "f": (stage("dummy"), LOGIN_STAGES[0])}) as world:
        world.planner.designations["f"] = "stage_configuration"
        browser = world.browser()
        await log_in(browser)
        await browser.get("f")
        begun = await browser.post({}, "f")
        assert begun.view and begun.view.component == "ak-stage-identification" and browser.login
        other = LoginClaims.model_validate({**browser.login.model_dump(), "login": "another"})
        reply = await browser.step(kind, "f", {} if kind == "answer" else None, login=other if by_now == "another" else None)
        assert reply.view and reply.view.component == "ak-stage-dummy" and not reply.advanced and reply.run != begun.run
        [cancelled] = [e for got in await world.history(begun.session) for e in got.body.events if isinstance(e, RunCancelled)]
        assert (cancelled.run, cancelled.reason) == (begun.run, "login_over")
