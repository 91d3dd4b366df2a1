"""No login is for ever: each ends when nobody used it for a day, and after thirty days in any case, also without an expiry."""

import pytest

from services.executor.directory.login_lookup import PostgresLogins
from services.executor.directory.upkeep import Upkeep
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from shared.contracts.directory import LoginRevoked, UserChanged
from tests.integration.directory.conftest import People

HOUR = 3600
DAY = 24 * HOUR


async def logged_in(people: People, login: str = "login-1", **changes: object) -> int:
    alice = await people.make()
    assert not await people.log_in(alice.facts, login)
    if changes:
        await people.database.execute("UPDATE logins SET expires_us = $2 WHERE id = $1", login, changes["expires_us"])
    assert await people.logins.look_up(login, alice.pk, 0)
    return alice.pk


async def seen(people: People) -> int:
    return int((await people.database.fetch("SELECT seen_us FROM logins"))[0]["seen_us"])


async def test_a_login_that_was_not_used_for_a_day_is_over(people: People) -> None:
    alice = await logged_in(people)
    people.clock.advance(DAY - 1)
    assert await people.logins.look_up("login-1", alice, 0)
    people.clock.advance(DAY - 1)
    assert await people.logins.look_up("login-1", alice, 0), "the use before made it younger"
    people.clock.advance(DAY)
    assert not await people.logins.look_up("login-1", alice, 0)


async def test_a_remembered_login_is_over_without_use_as_well(people: People) -> None:
    alice = await logged_in(people, expires_us=people.clock.now_us() + 400 * DAY * 1_000_000)
    people.clock.advance(DAY)
    assert not await people.logins.look_up("login-1", alice, 0)


async def test_a_login_in_daily_use_is_over_after_thirty_days(people: People) -> None:
    alice = await logged_in(people)
    for _ in range(59):
        people.clock.advance(12 * HOUR)
        assert await people.logins.look_up("login-1", alice, 0)
    people.clock.advance(12 * HOUR)
    assert not await people.logins.look_up("login-1", alice, 0)


async def test_a_cookie_of_four_hundred_days_ago_is_worth_nothing_nor_is_one_before_the_upkeep_came(people: People) -> None:
    alice = await logged_in(people)
    people.clock.advance(400 * DAY)
    assert not await people.logins.look_up("login-1", alice, 0)
    await Upkeep(people.database, people.clock, GuessLimits(), LoginLife()).once()
    assert not await people.logins.look_up("login-1", alice, 0)


async def test_limits_are_settings(people: People) -> None:
    alice = await logged_in(people)
    logins = PostgresLogins(people.database, people.clock, LoginLife(idle_us=300_000_000, absolute_us=900_000_000))
    for _ in range(3):
        people.clock.advance(299)
        assert await logins.look_up("login-1", alice, 0)
    people.clock.advance(3)
    assert not await logins.look_up("login-1", alice, 0)


async def test_that_it_was_seen_is_written_once_a_minute_at_most(people: People) -> None:
    alice = await logged_in(people)
    first = await seen(people)
    people.clock.advance(59)
    await people.logins.look_up("login-1", alice, 0)
    assert await seen(people) == first
    people.clock.advance(1)
    await people.logins.look_up("login-1", alice, 0)
    assert await seen(people) == first + 60_000_000


@pytest.mark.parametrize(
    ("after", "expires", "reason"), [(DAY, None, "idle"), (31 * DAY, None, "idle"), (HOUR, HOUR, "expired"), (600, 60, "expired")]
)
async def test_the_upkeep_ends_and_tells_what_is_over(people: People, after: int, expires: int | None, reason: str) -> None:
    await logged_in(people, expires_us=None if expires is None else people.clock.now_us() + expires * 1_000_000)
    upkeep = Upkeep(people.database, people.clock, GuessLimits(), LoginLife())
    await upkeep.once()
    assert await people.said(LoginRevoked) == []
    people.clock.advance(after)
    await upkeep.once()
    assert [(told.login, told.reason) for told in await people.said(LoginRevoked)] == [("login-1", reason)]
    assert [told.facts["reason"] for told in await people.said(UserChanged) if told.what == "logged_out"] == [reason]


async def test_the_upkeep_ends_what_is_used_daily_after_thirty_days(people: People) -> None:
    alice = await logged_in(people)
    for _ in range(59):
        people.clock.advance(12 * HOUR)
        await people.logins.look_up("login-1", alice, 0)
    people.clock.advance(12 * HOUR)
    await Upkeep(people.database, people.clock, GuessLimits(), LoginLife()).once()
    assert [told.reason for told in await people.said(LoginRevoked)] == ["too_old"]
