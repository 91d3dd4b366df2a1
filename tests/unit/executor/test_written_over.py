"""Somebody else writes to the topic of written states: what compaction takes away then is not begun a second time (architecture §4.6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from shared.contracts import topics, wire
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.states import SessionState
from shared.kernel.ids import new_session_id
from shared.messaging.log import Message, Record
from tests.unit.executor.test_late_states import PLACE, compacted
from tests.unit.executor.test_set_aside import partition, written
from tests.unit.executor.world import World

GONE: Mapping[str, Callable[[Record], Sequence[Record]]] = {
    "garbage": lambda one: [replace(one, value=b"\xc1")],
    "nothing": lambda one: [replace(one, value=b"")],
    "no headers": lambda one: [replace(one, headers=())],
    "a state of another session": lambda one: [
        replace(one, value=wire.pack(SessionState(session=new_session_id(3), version=9).model_dump()))
    ],
    "a header twice": lambda one: [replace(one, headers=(*one.headers, *one.headers))],
    "all of the topic is deleted": lambda one: [],
}


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
async def test_a_session_whose_state_somebody_wrote_over_does_not_begin_a_second_time(gone: Callable[[Record], Sequence[Record]]) -> None:
    """Compaction keeps the last record of a key, whoever's it is. The session's history is there, and nobody believes another beginning of it."""
    async with World() as world:
        browser = world.browser()
        await browser.post({"uid_field": "alice"})
        await browser.post({"password": "wrong"})
        await written(world, 2)
        await world.workers.pop().stop()
        states = partition(world, PLACE)
        world.set_aside.states[3] = states.next
        (last,) = await compacted(world)
        states.records[:] = gone(last)
        await world.add_worker()
        tab = browser.twin()
        tab.shown.clear()
        tab.pages.clear()
        reply = await tab.get()
        if reply.session_over:
            await tab.get()
        await tab.post({"uid_field": "alice"})
        assert (await tab.post({"password": "secret"})).login
        rule = AcceptedTransitions()
        accepted = [
            one.body for session in (browser.session, tab.session) for one in await world.history(session) if rule.accepts(one.envelope)
        ]
        assert tab.login in [event.login for body in accepted for event in body.events if event.event == "session.logged_in"]
        for _ in range(3):
            await world.workers.pop().stop()
            await world.add_worker()
        assert (await tab.get()).outcome != "refused"


async def test_garbage_beside_a_session_takes_nothing_from_it() -> None:
    """Its state is there, or its history since: what somebody wrote under its keys means nothing."""
    async with World() as world:
        written_, new = world.browser(), world.browser()
        await written_.post({"uid_field": "alice"})
        await written(world, 1)
        await new.post({"uid_field": "alice"})
        await world.workers.pop().stop()
        for browser in (written_, new):
            for owner in ("", "/", "/stranger", "/stranger/2"):
                await world.log.append(Message(topics.STATE, 3, f"{browser.session}{owner}".encode(), b"\xc1"))
        for key in (b"", b"/", b"/x", b"03.x/y", b"\xff/\xff", new_session_id(4).encode() + b"/x"):
            await world.log.append(Message(topics.STATE, 3, key, b"\xc1"))
        await world.add_worker()
        for browser in (written_, new):
            assert (await browser.post({"password": "secret"})).login
