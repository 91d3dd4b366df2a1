"""What is recorded: whole sessions over every shipped flow and every way in which a session, a run and a step can go.

Each scenario is one browser's. To add one: write it here, `python -m tests.contract.histories NAME`, look at the text that comes, check both files in.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from tests.unit.executor.world import Browser, World

LOGIN, LOGOUT = "default-authentication-flow", "default-invalidation-flow"
Scenario = Callable[[World, Browser], Awaitable[None]]


async def _named(browser: Browser, name: str = "alice") -> None:
    await browser.get(LOGIN)
    await browser.post({"uid_field": name}, LOGIN)


async def _logged_in(browser: Browser) -> None:
    await _named(browser)
    reply = await browser.post({"password": "secret"}, LOGIN, query="next=%2Fapp")
    assert reply.login


async def log_in(world: World, browser: Browser) -> None:
    await _logged_in(browser)


async def log_in_and_out(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    world.clock.advance(60)
    assert (await browser.get(LOGOUT, query="next=%2Fbye")).session_over


async def log_in_twice(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    world.clock.advance(60)
    await _logged_in(browser)


async def wrong_password_then_right(world: World, browser: Browser) -> None:
    await _named(browser)
    await browser.post({"password": "nope"}, LOGIN)
    await browser.post({}, LOGIN)
    assert (await browser.post({"password": "secret"}, LOGIN)).login


async def too_many_wrong_passwords(world: World, browser: Browser) -> None:
    await _named(browser)
    for _ in range(4):
        await browser.post({"password": "nope"}, LOGIN)
    reply = await browser.post({"password": "nope"}, LOGIN)
    assert reply.view and reply.view.kind == "denied"


async def a_name_that_nobody_has(world: World, browser: Browser) -> None:
    await _named(browser, "nobody")
    await browser.post({"password": "secret"}, LOGIN)
    await browser.step("cancel", LOGIN, None)


async def given_up_and_begun_again(world: World, browser: Browser) -> None:
    await _named(browser)
    await browser.step("cancel", LOGIN, None)
    await _logged_in(browser)


async def left_alone(world: World, browser: Browser) -> None:
    await _named(browser)
    world.clock.advance(1801)
    [owner] = [one for worker in world.workers for one in worker.partitions.owners.values() if one.states.get(browser.session).version]
    await owner.sweep(world.clock.now_us())
    for task in list(owner.queues.tasks):
        await task


async def disabled_meanwhile(world: World, browser: Browser) -> None:
    world.directory.refuse = "user_disabled"
    await _named(browser)
    assert (await browser.post({"password": "secret"}, LOGIN)).session_over


async def pages_of_two_tabs(world: World, browser: Browser) -> None:
    browser.api = False
    await browser.get(LOGIN)
    other = browser.twin()
    await other.get(LOGIN)
    await browser.post({"uid_field": "alice"}, LOGIN)
    assert (await browser.post({"password": "secret"}, LOGIN, query="next=%2Fone")).login
    other.session, other.rotation, other.login, other.made_us = browser.session, browser.rotation, browser.login, browser.made_us
    reply = await other.post({"uid_field": "alice"}, LOGIN, query="next=%2Ftwo")
    assert reply.view and reply.view.to == "/two"


async def nine_tabs(world: World, browser: Browser) -> None:
    browser.api = False
    for _ in range(9):
        browser.shown.clear()
        await browser.get(LOGIN)
        await browser.post({"uid_field": "alice"}, LOGIN)
        world.clock.advance(1)


async def taken_back(world: World, browser: Browser) -> None:
    await _named(browser)
    flow = world.planner.definitions.flow_by_slug(LOGIN)  # type: ignore[attr-defined]
    world.retirements.flows.add(flow.facts.pk)
    reply = await browser.post({"password": "secret"}, LOGIN)
    assert not reply.login


async def one_page_and_remembered(world: World, browser: Browser) -> None:
    await browser.get("one-page")
    await browser.post({"uid_field": "nobody", "password": "secret"}, "one-page")
    await browser.post({"uid_field": "alice", "password": "secret"}, "one-page")
    page = (await browser.get("one-page")).view
    assert page
    await browser.post({"selected_stage": page.fields["configuration_stages"][1]["pk"]}, "one-page")
    await browser.post({}, "one-page")
    await browser.post({}, "one-page")
    assert (await browser.post({"remember_me": True}, "one-page")).login


async def guards_and_a_restart(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    await browser.get("guarded")
    await browser.post({}, "guarded")
    await browser.post({}, "guarded")
    await browser.post({"uid_field": "alice", "password": "nope"}, "guarded")
    await browser.post({}, "guarded")
    await browser.post({}, "guarded")
    reply = await browser.post({"uid_field": "alice", "password": "secret"}, "guarded")
    assert reply.view and reply.view.kind == "redirect"


async def a_restart_that_denies(world: World, browser: Browser) -> None:
    await browser.get("again")
    await browser.post({}, "again")
    await browser.post({}, "again")


async def a_page_after_the_log_out(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    await browser.get("guarded")
    await browser.post({}, "guarded")
    await browser.get("goodbye")
    await browser.post({}, "goodbye")


async def not_let_in(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    reply = await browser.get("closed")
    assert reply.view and reply.view.kind == "denied"


async def a_broken_stage(world: World, browser: Browser) -> None:
    await browser.get("broken")
    await browser.post({}, "broken")
    await browser.get("broken")
    await browser.step("cancel", "broken", None)


async def nowhere_to_go(world: World, browser: Browser) -> None:
    await _named(browser)
    reply = await browser.post({"password": "secret"}, LOGIN, query="next=https%3A%2F%2Felsewhere.example%2F")
    assert reply.login


async def another_login_meanwhile(world: World, browser: Browser) -> None:
    await _logged_in(browser)
    await browser.get("guarded")
    await browser.post({}, "guarded")
    browser.login = None
    await browser.post({}, "guarded")


SCENARIOS: Final[dict[str, Scenario]] = {
    one.__name__: one
    for one in (
        log_in, log_in_and_out, log_in_twice, wrong_password_then_right, too_many_wrong_passwords, a_name_that_nobody_has, given_up_and_begun_again,
        left_alone, disabled_meanwhile, pages_of_two_tabs, nine_tabs, taken_back, one_page_and_remembered, guards_and_a_restart, a_restart_that_denies,
        a_page_after_the_log_out, not_let_in, a_broken_stage, nowhere_to_go, another_login_meanwhile,
    )
}  # fmt: skip
