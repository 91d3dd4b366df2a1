"""Rule 13: who is logged in, when PostgreSQL, the log, both or none can be asked."""

import asyncio

import pytest

from services.executor.edge.login_check import LoginCheck
from services.executor.rules.login_life import LoginLife
from shared.contracts.people import LoginClaims, UserFacts
from shared.kernel.clock import FixedClock
from shared.kernel.errors import Unavailable

LOGIN = LoginClaims(
    login="l1",
    user=7,
    uid="u",
    username="alice",
    methods=("password",),
    at_us=FixedClock().now_us(),
    expires_us=None,
    persistent=False,
    epoch=0,
)


class World:
    """The directory and the tail of revocations, both as a test wants them."""

    def __init__(self, life: LoginLife | None = None) -> None:
        self.good, self.away, self.silent_s = True, False, 0.0
        self.revoked: set[str] = set()
        self.asked = 0
        self.clock = FixedClock()
        self.check = LoginCheck(self, self, self.clock, limit=2, life=life or LoginLife())

    async def look_up(self, login: str, user: int, epoch: int) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable
        return self.good

    async def facts(self, user: int) -> UserFacts | None:
        raise AssertionError

    def is_revoked(self, claims: LoginClaims) -> bool:
        return claims.login in self.revoked

    def age(self) -> float:
        return self.silent_s

    def fetched_age(self) -> float:
        return 0.0


@pytest.fixture
def world() -> World:
    return World()


async def test_a_login_is_looked_up_once_in_a_quarter_of_an_hour(world: World) -> None:
    for seconds, asked in ((0, 1), (60, 1), (14 * 60, 2), (1, 2)):
        world.clock.advance(seconds)
        if seconds == 14 * 60:
            world.clock.advance(1)
        assert await world.check.is_good(LOGIN)
        assert world.asked == asked


async def test_a_revoked_login_is_over_at_once(world: World) -> None:
    assert await world.check.is_good(LOGIN)
    world.revoked.add("l1")
    assert not await world.check.is_good(LOGIN)


async def test_a_login_that_is_over_is_not_remembered_as_a_good_one(world: World) -> None:
    world.good = False
    for _ in range(3):
        assert not await world.check.is_good(LOGIN)
    world.good = True
    assert await world.check.is_good(LOGIN)
    world.clock.advance(16 * 60)
    world.good = False
    for _ in range(3):
        assert not await world.check.is_good(LOGIN)


async def test_behind_a_stale_tail_every_answer_is_a_look_up_kept_for_five_seconds(world: World) -> None:
    assert await world.check.is_good(LOGIN)
    world.silent_s = 5.1
    world.clock.advance(4)
    assert await world.check.is_good(LOGIN)
    assert world.asked == 1
    world.clock.advance(2)
    world.good = False
    assert not await world.check.is_good(LOGIN)


async def test_with_neither_nobody_is_told_anything(world: World) -> None:
    world.away = True
    with pytest.raises(Unavailable):
        await world.check.is_good(LOGIN)
    world.away = False
    assert await world.check.is_good(LOGIN)
    world.away = True
    assert await world.check.is_good(LOGIN)
    world.silent_s = 60
    world.clock.advance(6)
    with pytest.raises(Unavailable):
        await world.check.is_good(LOGIN)


async def test_an_expired_login_is_over(world: World) -> None:
    claims = LOGIN.model_copy(update={"expires_us": world.clock.now_us() + 1_000_000})
    assert await world.check.is_good(claims)
    world.clock.advance(1)
    assert not await world.check.is_good(claims)


async def test_questions_at_the_same_moment_are_one_look_up(world: World) -> None:
    assert await asyncio.gather(*(world.check.is_good(LOGIN) for _ in range(20))) == [True] * 20
    assert world.asked == 1


async def test_what_is_remembered_is_bounded(world: World) -> None:
    for n in range(10):
        await world.check.is_good(LOGIN.model_copy(update={"login": f"l{n}"}))
    assert len(world.check._checked) == 2


async def test_another_epoch_is_another_question(world: World) -> None:
    await world.check.is_good(LOGIN)
    await world.check.is_good(LOGIN.model_copy(update={"epoch": 1}))
    assert world.asked == 2


async def test_a_login_ends_a_month_after_the_log_in_though_it_is_used_and_has_no_expiry(world: World) -> None:
    for _ in range(30 * 96 - 1):
        world.clock.advance(900)
        assert await world.check.is_good(LOGIN)
    world.clock.advance(900)
    asked = world.asked
    assert not await world.check.is_good(LOGIN)
    assert world.asked == asked, "the cookie says it by itself: nobody has to be there to be asked"


async def test_an_expiry_after_the_absolute_end_changes_nothing(world: World) -> None:
    claims = LOGIN.model_copy(update={"expires_us": LOGIN.at_us + 400 * 86_400_000_000, "persistent": True})
    assert await world.check.is_good(claims)
    world.clock.advance(31 * 86_400)
    assert not await world.check.is_good(claims)


async def test_where_logins_end_after_minutes_without_use_an_edge_trusts_its_look_up_for_less() -> None:
    world = World(LoginLife(idle_us=8 * 60_000_000))
    assert await world.check.is_good(LOGIN)
    world.clock.advance(121)
    world.good = False
    assert not await world.check.is_good(LOGIN)
