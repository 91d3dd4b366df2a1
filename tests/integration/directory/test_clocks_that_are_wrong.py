"""A worker whose clock is far ahead of PostgreSQL's ends nothing that is others': keys stay, logins stay, answers are opened."""

import pytest

from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.upkeep import Upkeep
from services.executor.edge.sealing_keys import SealingKeys
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from shared.contracts.directory import KEY_SKEW_US, KeyPublished, LoginRevoked
from shared.contracts.topics import TOPICS
from shared.kernel.clock import FixedClock, SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from tests.integration.directory.conftest import SECRET, People
from tests.integration.directory.test_epoch_keys import sealed_to

MINUTE_US = 60_000_000
AHEAD = pytest.mark.parametrize("minutes", [2, 20, 60 * 24, 60 * 24 * 365 * 10])


def ahead(minutes: int) -> FixedClock:
    return FixedClock(SystemClock().now_us() + minutes * MINUTE_US)


@AHEAD
async def test_keys_of_others_are_not_destroyed(people: People, minutes: int) -> None:
    right, wrong = (EpochKeys(people.database, SECRET, clock) for clock in (SystemClock(), ahead(minutes)))
    await right.renew()
    (key,) = await people.said(KeyPublished)
    for _ in range(3):
        await wrong.renew(force=True)
    assert await right.open(sealed_to(key), "07.session", "command")
    assert await EpochKeys(people.database, SECRET, SystemClock()).open(sealed_to(key), "07.session", "command")
    assert await wrong.open(sealed_to(key), "07.session", "command"), "its own visitors are answered, too"


@AHEAD
async def test_what_it_makes_is_a_key_for_everybody(people: People, minutes: int) -> None:
    wrong = EpochKeys(people.database, SECRET, ahead(minutes))
    await wrong.renew()
    await wrong.renew()
    (key,) = await people.said(KeyPublished)
    assert key.made_us <= SystemClock().now_us() + KEY_SKEW_US
    log = await EmbeddedLog.open(TOPICS, None)
    edge = SealingKeys(log, DeadLetters(log, "executor", people.clock), SystemClock())
    edge._keys[key.epoch] = key
    assert edge.current() == key
    await log.close()


@AHEAD
async def test_logins_are_not_ended_and_what_is_remembered_is_not_forgotten(people: People, minutes: int) -> None:
    people.clock.us = SystemClock().now_us()
    alice = await people.make()
    await people.log_in(alice.facts)
    await people.logins.look_up("login-1", alice.pk, 0)
    await people.guess(alice.pk, "wrong")
    before = {table: await rows(people, table) for table in ("order_results", "ask_results", "account_guesses", "address_guesses")}
    await Upkeep(people.database, ahead(minutes), GuessLimits(), LoginLife()).once()
    assert await people.said(LoginRevoked) == []
    assert {table: await rows(people, table) for table in before} == before


async def rows(people: People, table: str) -> int:
    return int(await people.database.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 -- names of this file
