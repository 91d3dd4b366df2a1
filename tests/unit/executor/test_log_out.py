"""A log-out with stages after it: they are shown, to nobody, and nothing that was the login's goes on (architecture §3)."""

import asyncio

from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session
from shared.contracts import wire
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.sessions import LoggedOut, RunCancelled
from shared.contracts.states import SessionState
from shared.flows.registry import registry
from tests.fixtures_patience import PATIENT_S
from tests.unit.executor.test_steps import events, log_in
from tests.unit.executor.world import LOGIN_STAGES, SECRET, Browser, World, stage

OUT = stage("user_logout")
FIRST = stage("dummy").model_copy(update={"binding": "b-first"})
FLOWS = {
    "login": LOGIN_STAGES,
    "other": (FIRST, stage("dummy")),
    "out": (OUT, stage("dummy")),
    "out and in": (OUT, *LOGIN_STAGES),
}


async def logged_in(world: World) -> Browser:
    browser = world.browser()
    await log_in(browser)
    return browser


async def folded(world: World, session: str) -> SessionState:
    """The session as the history of accepted transitions makes it; each decided again on the way, with the same result."""
    state, accepted = new_session(session), AcceptedTransitions()
    for received in await world.history(session):
        if accepted.accepts(received.envelope):
            again = await decided_again(state, received.body, registry(), SECRET)
            assert wire.pack(again.model_dump()) == wire.pack(received.body.model_dump())
            state = evolve(state, received.envelope, received.body)
    return state


async def test_the_stages_after_a_log_out_are_shown_to_nobody_and_the_session_ends_with_them() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        shown = await browser.get("out", query="next=/ignored")
        assert shown.view and (shown.view.kind, shown.view.component) == ("challenge", "ak-stage-dummy")
        assert shown.logged_out and shown.open and not shown.session_over and shown.login is None
        assert shown.rotation == 2
        assert [order.kind for order in list(world.directory.performed.values())[-1]] == ["directory.login.end"]
        again = await browser.get("out")
        assert again.outcome == "current" and again.view == shown.view and not again.logged_out
        end = await browser.post({}, "out", query="next=/bye")
        # The inner query is the last request's, as authentik keeps it.
        assert end.view and (end.view.kind, end.view.to) == ("redirect", "/bye")
        assert end.session_over and not end.logged_out and not end.open
        assert events(await world.history(end.session))[-8:] == [
            "run.started", "stage.passed", "session.logged_out", "stage.challenged", "session.rotated",
            "stage.passed", "run.finished", "session.ended",
        ]  # fmt: skip
        state = await folded(world, end.session)
        assert (state.ended, state.login, state.rotation) == ("logged_out", None, 2)


async def test_the_visitor_sees_nothing_before_the_login_is_over() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        world.directory.away_for_orders = 10_000
        step = browser.compose("start", "out", None)
        asked = asyncio.create_task(world.ask(step))
        async with asyncio.timeout(PATIENT_S):
            while "session.logged_out" not in events(await world.history(browser.session)):  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert not asked.done()
        world.directory.away_for_orders = 0
        assert (await asked).logged_out


async def test_cookies_from_before_the_log_out_are_worth_nothing_after_it() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        old = browser.twin()
        await browser.get("out")
        old.shown = dict(browser.shown)
        before = len(await world.history(browser.session))
        for kind, slug, body in (("start", "out", None), ("answer", "out", {}), ("start", "other", None), ("cancel", "out", None)):
            reply = await old.step(kind, slug, body)
            assert (reply.outcome, reply.view, reply.session_over) == ("superseded", None, False)
        without_login = old.twin()
        without_login.login = None
        assert (await without_login.post({}, "out")).outcome == "superseded"
        world.clock.advance(31)
        assert (await old.post({}, "out")).session_over
        assert len(await world.history(browser.session)) == before
        end = await browser.post({}, "out")
        assert end.view and end.view.kind == "redirect"


async def test_all_other_runs_end_with_the_login() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        await browser.post({}, "other")
        run = browser.shown["other"].run
        await browser.get("out")
        cancelled = [e for r in await world.history(browser.session) for e in r.body.events if isinstance(e, RunCancelled)]
        assert cancelled == [RunCancelled(run=run, reason="logged_out")]
        fresh = await browser.post({}, "other")
        assert fresh.run != run and not fresh.advanced and fresh.view and fresh.view.kind == "challenge"


async def test_what_was_begun_after_the_log_out_ends_with_the_session() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        await browser.get("out")
        await browser.post({}, "other")
        end = await browser.post({}, "out")
        assert end.session_over and not end.open
        state = await folded(world, end.session)
        assert [run.over for run in state.runs][-2:] == ["finished", "cancelled"]


async def test_guards_after_a_log_out_are_asked_about_nobody() -> None:
    named = stage("identification", {"user_fields": ("username",)})
    async with World({"login": LOGIN_STAGES, "f": (named, OUT, stage("dummy", guarded=True))}) as world:
        browser = await logged_in(world)
        await browser.get("f")
        assert (await browser.post({"uid_field": "alice"}, "f")).logged_out
        facts = world.policy.asked[-1].facts
        assert (facts.visitor.user, facts.user, facts.context) == (None, None, {})


async def test_a_run_that_somebody_elses_tab_logged_in_beside_goes_on_as_nobodys_too() -> None:
    named = stage("identification", {"user_fields": ("username",)})
    async with World({"login": LOGIN_STAGES, "f": (FIRST, named, OUT, stage("dummy"))}) as world:
        world.planner.designations["f"] = "invalidation"
        browser = world.browser()
        await browser.post({}, "f")
        await log_in(browser)
        assert (await browser.post({"uid_field": "alice"}, "f")).logged_out
        run = (await folded(world, browser.session)).runs[-2]
        assert (run.flow, run.over, run.login, run.context) == ("f", "", None, {})


async def test_who_logged_out_can_log_in_in_the_same_run_and_keeps_the_session() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        first = browser.login
        assert (await browser.get("out and in")).logged_out
        await browser.post({"uid_field": "alice"}, "out and in")
        reply = await browser.post({"password": "secret"}, "out and in")
        assert reply.login and reply.login != first and not reply.session_over and not reply.logged_out
        assert reply.rotation == 3
        assert (await folded(world, browser.session)).ended == ""
        assert (await browser.get("other")).view


async def test_a_proof_from_before_the_log_out_logs_nobody_in_after_it() -> None:
    async with World({"login": LOGIN_STAGES, "f": (*LOGIN_STAGES[:2], OUT, LOGIN_STAGES[2])}) as world:
        browser = await logged_in(world)
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        reply = await browser.post({"password": "secret"}, "f")
        assert reply.logged_out and reply.session_over and reply.login is None
        assert reply.view and reply.view.kind == "denied"


async def test_a_log_out_right_after_the_log_in_ends_that_login() -> None:
    async with World({"f": (*LOGIN_STAGES, OUT, stage("dummy"))}) as world:
        browser = world.browser()
        await browser.get("f")
        await browser.post({"uid_field": "alice"}, "f")
        reply = await browser.post({"password": "secret"}, "f")
        assert reply.login is None and reply.logged_out and not reply.session_over
        assert [order.kind for order in list(world.directory.performed.values())[-1]] == ["directory.login.start", "directory.login.end"]
        ended = [e for r in await world.history(browser.session) for e in r.body.events if isinstance(e, LoggedOut)]
        assert [one.run for one in ended] == [reply.run]


async def test_a_cancel_after_the_log_out_ends_the_session() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        await browser.get("out")
        reply = await browser.step("cancel", "", None)
        assert reply.session_over
        assert (await folded(world, reply.session)).ended == "logged_out"


async def test_a_denial_after_the_log_out_ends_the_session() -> None:
    async with World({"login": LOGIN_STAGES, "out": (OUT, stage("dummy"), stage("deny"))}) as world:
        browser = await logged_in(world)
        await browser.get("out")
        reply = await browser.post({}, "out")
        assert reply.view and reply.view.kind == "denied" and reply.session_over


async def test_the_same_command_again_gets_its_cookie_again_until_somebody_logs_in() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        step = browser.compose("start", "out and in", None)
        first = await world.ask(step)
        assert await world.ask(step) == first and first.logged_out and first.rotation == 2
        browser.take(step, first)
        await browser.post({"uid_field": "alice"}, "out and in")
        await browser.post({"password": "secret"}, "out and in")
        late = await world.ask(step)
        assert not late.logged_out and late.login is None


async def test_a_new_owner_goes_on_where_the_log_out_stood() -> None:
    async with World(FLOWS) as world:
        browser = await logged_in(world)
        await browser.get("out")
        await world.workers.pop().stop()
        await world.add_worker()
        end = await browser.post({}, "out")
        assert end.view and end.view.kind == "redirect" and end.session_over


async def test_a_restart_after_the_log_out_plans_for_nobody() -> None:
    flows = {"login": LOGIN_STAGES, "out": (OUT, stage("password", {"backends": ()}, action="restart_with_context"))}
    async with World(flows) as world:
        browser = await logged_in(world)
        await browser.get("out")
        await browser.post({"password": "x"}, "out")
        asked = world.planner.asked[-1]
        assert (asked.visitor.user, asked.context, asked.obligations) == (None, {}, ())
