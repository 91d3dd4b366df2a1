"""A stranger asks for the log-in page again and again, or answers it with anything: what that leaves behind has an end."""

from typing import Any

import pytest

from shared.contracts import topics
from shared.messaging.log import TopicPartition
from tests.integration.edge.conftest import onward
from tests.security.attacked import API, PAGE, SESSION, Whole, at_password, followed, send
from tests.unit.executor.world import LOGIN_STAGES, World, stage

MANY = 300
FLOWS = {"login": LOGIN_STAGES, "out": (stage("user_logout"),), "no": (stage("deny"),)}


async def kept(world: World, *names: str) -> tuple[int, int]:
    """How many records these topics hold, and how many bytes."""
    count = size = 0
    for name in names:
        for partition in range(topics.TOPICS[name].partitions):
            place = TopicPartition(name, partition)
            async for batch in world.log.read(place, *await world.log.bounds(place)):
                count += len(batch)
                size += sum(len(record.value or b"") + sum(len(n) + len(v) for n, v in record.headers) for record in batch)
    return count, size


@pytest.mark.parametrize("target", [PAGE, API, "/if/flow/out/", "/if/flow/no/", PAGE + "?sluice_run=" + "A" * 22])
async def test_pages_that_nobody_answers_are_in_no_session(target: str) -> None:
    async with Whole(FLOWS) as whole:
        for _ in range(MANY):
            await whole.browser().get(target)
        assert await kept(whole.world, topics.SESSIONS, topics.STATE) == (0, 0)
        assert whole.world.directory.asked == [] and whole.world.directory.performed == {}
        assert all(not owner.states._packed for owner in whole.world.workers[0].partitions.owners.values())
        count, size = await kept(whole.world, topics.STEPS, topics.REPLIES)
        assert count == 2 * MANY and size <= 2048 * MANY


async def test_so_are_those_that_one_browser_asks_for_again_and_again() -> None:
    async with Whole(FLOWS) as whole:
        browser = whole.browser()
        for _ in range(MANY):
            await browser.get(PAGE)
        assert await kept(whole.world, topics.SESSIONS, topics.STATE) == (0, 0)


@pytest.mark.parametrize("target", ["/if/flow/out/", "/if/flow/no/", "/api/v3/flows/executor/no/?query="])
async def test_a_start_that_is_nobodys_end_is_a_counted_security_record(target: str) -> None:
    async with Whole(FLOWS) as whole:
        for _ in range(MANY):
            await whole.browser().get(target)
        # 20 lines in ten seconds, then they are only counted.
        assert whole.records.kinds == ["ended_at_once"] * 20


async def test_nobody_is_turned_away_for_a_flood_of_pages() -> None:
    async with Whole(FLOWS) as whole:
        mine = whole.browser()
        page = await mine.get(PAGE)
        for _ in range(MANY):
            assert (await whole.browser().get(PAGE)).status == 200
        password = await followed(mine, await send(mine, page, uid_field="alice"))
        assert onward(await send(mine, password, password="secret")) == "/"


async def unproven(whole: Whole) -> list[Any]:
    owners = whole.world.workers[0].partitions.owners.values()
    states = [owner.states.get(session) for owner in owners for session in list(owner.states._packed)]
    return [state for state in states if not state.ended and not state.rotation]


async def test_sessions_in_which_nobody_proved_anything_have_an_end_oldest_first() -> None:
    async with Whole(FLOWS) as whole:
        whole.world.crowd._limit = 20
        alice = whole.browser()
        await send(alice, await at_password(alice), password="secret")
        half_way = whole.browser()
        password = await at_password(half_way)
        browsers = [whole.browser() for _ in range(60)]
        for browser in browsers:
            await at_password(browser)
            await send(half_way, password, password="wrong")  # it is not left alone
        await settle(whole)
        assert len(await unproven(whole)) == 20
        names = await ends(whole)
        assert names == ["too_many"] * 41
        # Who proved something, and who is at work, goes on; the oldest begins anew.
        assert await whole.is_somebody(alice)
        assert 'name="uid_field"' in (await browsers[0].get(PAGE)).text
        assert (await browsers[-1].post(API, {"uid_field": "alice"})).status == 302


async def settle(whole: Whole) -> None:
    import asyncio

    for owner in whole.world.workers[0].partitions.owners.values():
        await asyncio.gather(*owner.queues.tasks)


async def ends(whole: Whole) -> list[str]:
    from shared.contracts.sessions import CODEC, SessionAdvanced, SessionEnded

    found = []
    for partition in range(topics.SESSION_PARTITIONS):
        place = TopicPartition(topics.SESSIONS, partition)
        async for batch in whole.world.log.read(place, *await whole.world.log.bounds(place)):
            for record in batch:
                body = CODEC.decode(record).body
                assert isinstance(body, SessionAdvanced)
                found += [event.reason for event in body.events if isinstance(event, SessionEnded)]
    return found


async def test_one_browser_has_eight_open_runs_whatever_it_answers() -> None:
    async with Whole(FLOWS) as whole:
        browser = whole.browser()
        for _ in range(30):
            await at_password(browser)
        [state] = await unproven(whole)
        assert sum(not run.over for run in state.runs) == 8


@pytest.mark.parametrize("path", ["page", "json"])
async def test_answers_of_the_wrong_shape_leave_nothing(path: str) -> None:
    async with Whole(FLOWS) as whole:
        for _ in range(50):
            browser = whole.browser()
            if path == "page":
                await send(browser, await browser.get(PAGE), uid_field="")
            else:
                await browser.get(API)
                await browser.post(API, {"uid_field": {"a": 1}})
                await browser.post(API, [])
        assert await kept(whole.world, topics.SESSIONS, topics.STATE) == (0, 0)


async def test_the_cookie_of_a_session_that_never_began_goes_on_working_after_an_hour() -> None:
    async with Whole(FLOWS) as whole:
        browser = whole.browser()
        page = await browser.get(PAGE)
        cookie = browser.cookie(SESSION)
        whole.clock.advance(2 * 3600)
        password = await followed(browser, await send(browser, page, uid_field="alice"))
        assert browser.cookie(SESSION) != cookie
        assert onward(await send(browser, password, password="secret")) == "/"
