"""Runs that meet something on their way: a login that changes or ends, a plan that is refused, a stage that breaks."""

from tests.unit.executor.test_one_history import at_the_password
from tests.unit.executor.world import World


async def test_a_command_is_remembered_for_30_s_however_many_follow() -> None:
    async with World() as world:
        browser = world.browser()
        first = browser.compose("answer", "login", {"uid_field": "alice"})
        browser.take(first, await world.ask(first))
        for _ in range(6):
            await browser.step("cancel", "login", None)
            await browser.get()
            await browser.post({"uid_field": "alice"})
        count = len(await world.history(browser.session))
        assert (await world.ask(first)).outcome == "accepted"
        assert len(await world.history(browser.session)) == count == 13
        world.clock.advance(31)
        await browser.step("cancel", "login", None)
        assert len(world.workers[0].partitions.owners[3].states.get(browser.session).answered) == 1


async def test_a_refused_login_that_led_nowhere_is_shown_as_denied() -> None:
    async with World() as world:
        world.directory.refuse = "user_disabled"
        browser = await at_the_password(world)
        reply = await browser.post({"password": "secret"}, query="next=https%3A%2F%2Felsewhere.example")
        assert reply.login is None
        assert reply.view and reply.view.kind == "denied"
