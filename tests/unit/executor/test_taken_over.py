"""A new owner holds what it finds unopened: many sessions must not keep their visitors waiting (architecture §4.6, §10)."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from services.executor.sessions.crowd import Crowd
from services.executor.sessions.lifetime import DAY, HOUR
from services.executor.sessions.states import SessionStates
from shared.contracts import topics, wire
from shared.contracts.errors import BadRecord
from shared.contracts.states import SessionState, writer_of
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_session_id
from shared.messaging.embedded.group import EmbeddedMembership
from shared.messaging.log import Message, TopicPartition
from tests.unit.executor.test_late_states import state_is_written
from tests.unit.executor.test_set_aside import partition, written
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.test_trouble import until
from tests.unit.executor.world import World


async def test_states_are_opened_when_a_step_wants_them_and_none_before() -> None:
    async with World() as world:
        browsers = [world.browser() for _ in range(20)]
        for browser in browsers:
            await browser.post({"uid_field": "alice"})
        await log_in(browsers[0])
        await world.workers.pop().stop()
        opened: list[str] = []
        validate = SessionState.model_validate

        def noted(raw: Any) -> SessionState:
            opened.append(raw["session"])
            return validate(raw)

        with patch.object(SessionState, "model_validate", noted):
            await world.add_worker()
            assert opened == []
            assert (await browsers[7].post({"password": "secret"})).login
            assert set(opened) <= {browsers[7].session}


def state(session: str, version: int, **more: Any) -> bytes:
    return wire.pack(SessionState(session=session, version=version, due_us=10, **more).model_dump())


def test_the_highest_version_is_held_in_whatever_order_they_come() -> None:
    states, session = SessionStates(), new_session_id(3)
    for version in (2, 5, 3, 5, 1):
        states.load(session, "o", state(session, version, head=f"h{version}"))
    assert (states.get(session).version, states.get(session).head) == (5, "h5")


def test_what_is_due_and_what_is_unproven_is_known_unopened() -> None:
    ended: list[str] = []
    crowd = Crowd(limit=1)
    states = SessionStates(crowd, ended.append)
    ids = [new_session_id(3) for _ in range(4)]
    for n, session in enumerate(ids):
        states.load(session, "o", state(session, 1, unproven=n < 3))
    assert sorted(states.due(11)) == sorted(ids) and states.due(10) == []
    crowd.thin_out()
    assert ended == ids[:2]


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\xc1", b"\x81\xa7session\xa1x", wire.pack(["session"]), wire.pack({"version": 1, "session": "x"})]
)
def test_what_is_no_state_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRecord):
        SessionStates().load("x", "o", raw)


async def test_a_state_that_cannot_be_read_costs_its_own_session_only() -> None:
    async with World() as world:
        browser, other = world.browser(), world.browser()
        for one in (browser, other):
            await one.post({"uid_field": "alice"})
            await state_is_written(world, one, 1)
        await world.workers.pop().stop()
        place = TopicPartition(topics.STATE, 3)
        records = [record async for batch in world.log.read(place, *await world.log.bounds(place)) for record in batch]
        good = next(record for record in records if writer_of((record.key or b"").decode())[0] == browser.session)
        broken = {**wire.unpack(good.value or b"", 2**20), "version": 2, "runs": "none"}
        await world.log.append(Message(*place, good.key, wire.pack(broken), good.headers))
        await world.add_worker()
        step = browser.compose("answer", "login", {"password": "secret"})
        assert (await world.ask(step)).session_over
        assert (await other.post({"password": "secret"})).login


@pytest.mark.parametrize("age_us", [0, 26 * HOUR, 49 * HOUR, 29 * DAY])
@pytest.mark.parametrize("committed", [None, 0], ids=["gone", "set back"])
async def test_a_group_that_forgets_how_far_it_was_has_nothing_done_anew_that_is_older_than_a_session(
    committed: int | None, age_us: int
) -> None:
    """Offsets expire after a week without members, and operators set them back; PostgreSQL forgets after two days what it has done."""
    async with World() as world:
        await log_in(world.browser())
        await written(world, 2)
        await world.workers.pop().stop()
        (done,) = world.directory.performed
        world.directory.performed.clear()
        partition(world, TopicPartition(topics.STATE, 3)).records.clear()
        world.clock.us = SystemClock().now_us() + age_us
        with patch.object(EmbeddedMembership, "committed", AsyncMock(return_value=committed)):
            await world.add_worker()
            await until(lambda: world.workers[0].assigned_once)
            await asyncio.sleep(0.05)
        assert list(world.directory.performed) == ([] if age_us else [done])
        await log_in(world.browser())
