"""Who owns a session, and whose transitions are believed (architecture §4.1-4.6)."""

import asyncio
from typing import Any

from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.sessions import RunCancelled, SessionAdvanced
from shared.messaging.log import LogUnavailable, Message
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World


async def test_a_second_worker_goes_on_where_the_first_one_stopped() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        await world.workers.pop().stop()
        await world.add_worker()
        assert (await browser.post({"password": "secret"})).login


async def test_five_workers_at_once_log_everybody_in() -> None:
    async with World(workers=5) as world:
        browsers = [world.browser() for _ in range(20)]
        await asyncio.gather(*(log_in(browser) for browser in browsers))
        assert len({key.session for key in world.directory.performed}) == 20


async def test_the_transition_of_a_zombie_changes_nothing() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        run = browser.shown["login"].run
        cancel = SessionAdvanced(
            session=browser.session, command="z", kind="cancel", at_us=world.clock.now_us(), events=(RunCancelled(run=run, reason="z"),)
        )
        for version, parent in ((2, "somebody-else"), (1, None), (5, browser.shown["login"].transition)):
            await world.write(topics.SESSIONS, cancel, browser.session, f"zombie-{version}", subject_version=version, parent=parent)
        reply = await browser.post({"password": "secret"})
        assert reply.advanced and reply.run == run
        accepted = AcceptedTransitions()
        kept = [r.envelope.id for r in await world.history(browser.session) if accepted.accepts(r.envelope)]
        assert len(kept) == 2 and not any(ident.startswith("zombie") for ident in kept)


async def test_a_transition_of_a_former_owner_that_was_accepted_is_believed() -> None:
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        shown = browser.shown["login"]
        cancel = SessionAdvanced(
            session=browser.session,
            command="z",
            kind="cancel",
            at_us=world.clock.now_us(),
            events=(RunCancelled(run=shown.run, reason="z"),),
        )
        await world.write(topics.SESSIONS, cancel, browser.session, "other", subject_version=2, parent=shown.transition)
        reply = await browser.get()
        assert reply.run != shown.run and reply.view and reply.view.component == "ak-stage-identification"


class LosesAcknowledgements:
    """A log whose first append to the sessions topic arrives, but is never acknowledged."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.left = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, message: Message) -> int:
        offset: int = await self._log.append(message)
        if message.topic == topics.SESSIONS and b"directory.login.start" in (message.value or b"") and self.left:
            self.left -= 1
            raise LogUnavailable("lost")
        return offset


async def test_a_transition_whose_acknowledgement_got_lost_still_has_its_orders_done() -> None:
    async with World(workers=0) as world:
        await world.add_worker(LosesAcknowledgements)
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        step = browser.compose("answer", "login", {"password": "secret"})
        reply = await world.ask(step)
        assert reply.outcome == "unavailable"
        again = await world.ask(step)
        assert again.login and len(world.directory.performed) == 1


async def test_orders_that_were_not_done_are_done_by_the_next_owner() -> None:
    async with World() as world:
        world.directory.away_for_orders = 1000
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        step = browser.compose("answer", "login", {"password": "secret"})
        asking = asyncio.create_task(world.ask(step))
        await until(lambda: world.directory.away_for_orders < 1000)
        await world.workers.pop().stop()
        world.directory.away_for_orders = 0
        await world.add_worker()
        assert (await asking).login
        assert len(world.directory.performed) == 1
