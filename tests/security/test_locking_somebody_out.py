"""Guesses as a weapon: nobody shuts an account for its owner, nobody gets more guesses by racing, and nobody learns who exists."""

# ruff: noqa: F811 -- a fixture is asked for by the name under which it was imported

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from services.executor.common.ports import Busy
from services.executor.directory import upkeep
from services.executor.directory.directory import PostgresDirectory, open_directory
from services.executor.directory.hashing import HashPool
from services.executor.directory.slots import unpacked
from services.executor.directory.unlocking import Unlocked, Unlocking
from services.executor.directory.upkeep import Upkeep
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from services.executor.rules.passwords import TEST_TARGET
from shared.contracts.asks import PasswordVerified
from shared.contracts.directory import UserChanged
from shared.kernel.clock import FixedClock
from shared.postgres.pool import Database
from sluice.embedded_postgres.server import Role
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import SECRET, People, clock, database, hashes, people  # noqa: F401 - fixtures

LIMITS = GuessLimits()
NETWORKS = [f"198.51.100.{n}" for n in range(1, 200)]


@pytest.fixture
async def shipped(people: People, database: Database, hashes: HashPool, clock: FixedClock) -> People:
    """The directory with the limits that it is shipped with."""
    return replace(people, directory=PostgresDirectory(database, hashes, clock, LIMITS, secret=SECRET))


@pytest.fixture
async def second(
    shipped: People,
    postgres_dsn: Callable[[Role], str],
    clock: FixedClock,
) -> AsyncIterator[People]:
    """Another worker on the same PostgreSQL, with connections and a hash pool of its own."""
    other = await open_directory(postgres_dsn("executor"), schema=shipped.database.schema)
    pool = HashPool(clock, TEST_TARGET, workers=2, waiting=200)
    yield replace(shipped, database=other, directory=PostgresDirectory(other, pool, clock, LIMITS, secret=SECRET))
    pool.close()
    await other.close()


async def attacked(people: People, user: int | None, networks: list[str], each: int, identifier: str = "alice") -> list[str]:
    """Wrong guesses from these networks, one after the other; why each was not looked at, empty where it was."""
    return [
        (await people.guess(user, f"wrong {n}", address=address, identifier=identifier)).limited
        for address in networks
        for n in range(each)
    ]


# --- the account stays open for its owner ---


async def test_a_hundred_guesses_from_one_network_shut_the_account_for_that_network_only(shipped: People) -> None:
    alice = await shipped.make()
    assert await attacked(shipped, alice.pk, ["192.0.2.66"], 100) == [""] * 10 + ["network"] * 90
    assert (await shipped.guess(alice.pk, "alice-pw", address="192.0.2.66")).outcome == "wrong"
    for address in ("192.0.2.67", "203.0.113.5", "2001:db8::5"):
        assert (await shipped.guess(alice.pk, "alice-pw", address=address)).outcome == "ok"


async def test_four_guesses_a_minute_for_hours_keep_nobody_out(shipped: People) -> None:
    alice = await shipped.make()
    await attacked(shipped, alice.pk, ["192.0.2.66"], 100)
    for _ in range(30):
        await attacked(shipped, alice.pk, ["192.0.2.66"], 4)
        shipped.clock.advance(6 * 60)
        assert (await shipped.guess(alice.pk, "alice-pw", address="203.0.113.5")).outcome == "ok"


async def test_a_network_of_ipv6_is_one_guesser_however_many_addresses_it_has(shipped: People) -> None:
    alice = await shipped.make()
    came = await attacked(shipped, alice.pk, [f"2001:db8:0:7::{n:x}" for n in range(1, 30)], 1)
    assert came == [""] * 10 + ["network"] * 19
    assert (await shipped.guess(alice.pk, "alice-pw", address="2001:db8:0:8::1")).outcome == "ok"


async def test_when_strangers_have_used_up_all_guesses_networks_and_browsers_of_the_owner_get_in(shipped: People) -> None:
    alice = await shipped.make()
    await shipped.log_in(alice.facts, "at-home", address="203.0.113.5")
    await attacked(shipped, alice.pk, NETWORKS[:20], 10)
    assert (await shipped.guess(alice.pk, "alice-pw", address="192.0.2.1")).limited == "account"
    assert (await shipped.guess(alice.pk, "alice-pw", address="203.0.113.5")).outcome == "ok"
    assert (await shipped.guess(alice.pk, "alice-pw", address="192.0.2.1", device="at-home")).outcome == "ok"
    assert (await shipped.guess(alice.pk, "alice-pw", address=NETWORKS[0], device="at-home")).outcome == "ok"


async def test_who_shares_the_owners_network_uses_up_its_slots_and_not_those_of_the_browser(shipped: People) -> None:
    alice = await shipped.make()
    await shipped.log_in(alice.facts, "at-work", address="203.0.113.5")
    came = await attacked(shipped, alice.pk, ["203.0.113.5"], 50)
    assert came == [""] * 30 + ["network"] * 20  # its own twenty, and a stranger's ten
    assert (await shipped.guess(alice.pk, "alice-pw", address="203.0.113.5", device="at-work")).outcome == "ok"


async def test_a_browser_keeps_its_slot_over_a_log_out_a_new_password_and_a_month(shipped: People) -> None:
    alice = await shipped.make()
    await shipped.log_in(alice.facts, "at-home", address="203.0.113.5")
    await shipped.users.set_password(alice.pk, "alice-pw-2")
    for _ in range(2):
        await Upkeep(shipped.database, shipped.clock, LIMITS, LoginLife()).once()
        await attacked(shipped, alice.pk, NETWORKS[:12], 10)
        assert (await shipped.guess(alice.pk, "alice-pw-2", address="192.0.2.1", device="at-home")).outcome == "ok"
        shipped.clock.advance(29 * 86400)


# --- what proves nothing ---


@pytest.mark.parametrize("device", ["", "bobs-login", "never-made", "at-home ", "AT-HOME", "at-home\u200b", "%", "' OR true --"])
async def test_the_browser_of_somebody_else_or_a_made_up_one_is_worth_nothing(shipped: People, device: str) -> None:
    alice, bob = await shipped.make(), await shipped.make("bob", "bob-pw")
    await shipped.log_in(alice.facts, "at-home", address="203.0.113.5")
    await shipped.log_in(bob.facts, "bobs-login", address="198.51.100.9")
    await attacked(shipped, alice.pk, NETWORKS[20:40], 10)
    refused = await shipped.guess(alice.pk, "alice-pw", address="192.0.2.1", device=device)
    assert (refused.outcome, refused.limited, refused.knows_browser) == ("wrong", "account", False)


async def test_a_browser_that_is_known_proves_nothing_and_has_a_limit_of_its_own(shipped: People) -> None:
    alice = await shipped.make()
    await shipped.log_in(alice.facts, "stolen", address="203.0.113.5")
    came = [(await shipped.guess(alice.pk, "wrong", address=address, device="stolen")).limited for address in NETWORKS[:120]]
    assert came == [""] * 120  # twenty of the browser's, a hundred of strangers'
    refused = await shipped.guess(alice.pk, "alice-pw", address=NETWORKS[150], device="stolen")
    assert (refused.outcome, refused.limited, refused.knows_browser) == ("wrong", "account", True)


# --- no more guesses than there are ---


@pytest.mark.parametrize("networks", [1, 7, 100])
async def test_a_hundred_guesses_at_once_over_two_workers_get_no_more_than_the_limit(
    shipped: People, second: People, networks: int
) -> None:
    alice = await shipped.make()

    async def guess(n: int) -> PasswordVerified | None:
        one = (shipped, second)[n % 2]
        for _ in range(20):
            try:
                return await one.guess(alice.pk, "wrong", key=one.ask_key(1000 + n), address=NETWORKS[n % networks])
            except Busy:
                await asyncio.sleep(0.05)
        return None

    came = [result for begin in range(0, 250, 25) for result in await asyncio.gather(*map(guess, range(begin, begin + 25)))]
    looked_at = sum(result is not None and not result.limited for result in came)
    assert looked_at == {1: 10, 7: 70, 100: 100}[networks]
    (row,) = await shipped.database.fetch("SELECT slots FROM account_guesses")
    assert sum(slot.failed for slot in unpacked(row["slots"])) == looked_at


async def test_strangers_get_a_hundred_in_any_hour_wherever_it_begins(shipped: People) -> None:
    alice = await shipped.make()
    looked_at: list[int] = []
    for n in range(600):
        if not (await shipped.guess(alice.pk, "wrong", address=NETWORKS[n % 60])).limited:
            looked_at.append(shipped.clock.now_us())
        shipped.clock.advance(13)
    assert max(sum(begin <= at < begin + 3600 * 1_000_000 for at in looked_at) for begin in looked_at) == 100
    assert len(looked_at) > 200


async def test_the_owners_success_gives_strangers_nothing_back(shipped: People) -> None:
    alice = await shipped.make()
    await shipped.log_in(alice.facts, "at-home", address="203.0.113.5")
    looked_at = 0
    for n in range(30):
        looked_at += (await attacked(shipped, alice.pk, [NETWORKS[n]], 5)).count("")
        assert (await shipped.guess(alice.pk, "alice-pw", address="203.0.113.5", device="at-home")).outcome == "ok"
    assert looked_at == 100


# --- the honest, many at once ---


@pytest.mark.parametrize("account", [1, 2, 5])
async def test_six_right_passwords_at_once_are_right_or_told_to_come_back(
    people: People,
    database: Database,
    hashes: HashPool,
    clock: FixedClock,
    account: int,
) -> None:
    alice = await people.make()
    tight = replace(people, directory=PostgresDirectory(database, hashes, clock, GuessLimits(account=account), secret=SECRET))

    async def right(n: int) -> str:
        try:
            return (await tight.guess(alice.pk, "alice-pw", key=tight.ask_key(500 + n))).outcome
        except Busy:
            return "busy"

    came = await asyncio.gather(*map(right, range(6)))
    assert set(came) <= {"ok", "busy"}
    assert came.count("ok") >= 1
    assert [event.what for event in await people.said(UserChanged)] == ["created"]
    (row,) = await people.database.fetch("SELECT slots FROM account_guesses")
    assert unpacked(row["slots"]) == ()
    (address,) = await people.database.fetch("SELECT failures, pending FROM address_guesses")
    assert (address["failures"], address["pending"]) == (0, 0)


async def test_right_passwords_at_an_address_near_its_limit_are_right_or_told_to_come_back(
    people: People,
    database: Database,
    hashes: HashPool,
    clock: FixedClock,
) -> None:
    users = [await people.make(f"user{n}", "pw") for n in range(8)]
    tight = replace(people, directory=PostgresDirectory(database, hashes, clock, GuessLimits(address=3), secret=SECRET))

    async def right(n: int) -> str:
        try:
            return (await tight.guess(users[n].pk, "pw", key=tight.ask_key(500 + n))).outcome
        except Busy:
            return "busy"

    came = await asyncio.gather(*map(right, range(8)))
    assert set(came) <= {"ok", "busy"}
    assert came.count("ok") >= 3
    assert {event.what for event in await people.said(UserChanged)} == {"created"}


async def test_a_worker_that_dies_in_the_middle_locks_nobody_for_ever(shipped: People, clock: FixedClock) -> None:
    alice = await shipped.make()
    gate, begun = threading.Event(), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def held(_: float) -> None:
        loop.call_soon_threadsafe(begun.release)
        gate.wait(PATIENT_S)

    pool = HashPool(clock, TEST_TARGET, workers=10, waiting=10, observe_wait=held)
    dying = replace(shipped, directory=PostgresDirectory(shipped.database, pool, clock, LIMITS, secret=SECRET))
    tasks = [asyncio.create_task(dying.guess(alice.pk, "wrong", key=shipped.ask_key(700 + n))) for n in range(10)]
    async with asyncio.timeout(PATIENT_S):
        for _ in tasks:
            await begun.acquire()
    for task in tasks:
        task.cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    pool.close()
    with pytest.raises(Busy):  # they may be right yet
        await shipped.guess(alice.pk, "alice-pw")
    assert (await shipped.guess(alice.pk, "alice-pw", key=shipped.ask_key(700))).outcome == "ok"  # done again by the next owner
    clock.advance(LIMITS.pending_us / 1e6)
    assert (await shipped.guess(alice.pk, "alice-pw")).outcome == "ok"  # of that network nine are used up, one was given back
    await shipped.guess(alice.pk, "wrong")
    assert (await shipped.guess(alice.pk, "alice-pw")).limited == "network"
    clock.advance(3600)
    assert (await shipped.guess(alice.pk, "alice-pw")).outcome == "ok"


# --- nobody learns who exists, and nobody fills the tables ---


async def test_a_name_that_nobody_has_locks_like_an_account(shipped: People) -> None:
    alice = await shipped.make()
    disabled = await shipped.make("dora", "dora-pw")
    await shipped.users.set_active(disabled.pk, active=False)
    scripts = [(NETWORKS[:3], 12), (NETWORKS[3:20], 8), (["192.0.2.1"], 2)]
    arms = {}
    for name, user in (("alice", alice.pk), ("dora", disabled.pk), ("nobody", None)):
        arms[name] = [came for networks, each in scripts for came in await attacked(shipped, user, networks, each, identifier=name)]
    assert arms["alice"] == arms["dora"] == arms["nobody"]
    assert {"", "network", "account"} == set(arms["alice"])


async def test_made_up_addresses_fill_no_table(shipped: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "ADDRESSES_MAX", 5)
    await attacked(shipped, None, ["192.0.2.66"], 3, identifier="nobody")
    await attacked(shipped, None, NETWORKS[:30], 1, identifier="nobody")
    await Upkeep(shipped.database, shipped.clock, LIMITS, LoginLife()).once()
    left = await shipped.database.fetch("SELECT address, failures FROM address_guesses ORDER BY failures DESC")
    assert len(left) == 5
    assert (left[0]["address"], left[0]["failures"]) == ("192.0.2.66", 3)


async def test_what_is_kept_of_a_made_up_name_is_neither_the_name_nor_its_plain_digest(shipped: People) -> None:
    await shipped.guess(None, "x", identifier="my-password-typed-into-the-name")
    (row,) = await shipped.database.fetch("SELECT counter, slots FROM account_guesses")
    assert len(row["counter"]) == 3
    assert b"my-password" not in row["slots"]


# --- who is told, and who unlocks ---


async def test_the_administrator_is_told_once_of_each_lock(shipped: People) -> None:
    alice = await shipped.make()
    await attacked(shipped, alice.pk, NETWORKS[:20], 12)
    told = [event.facts for event in await shipped.said(UserChanged) if event.what == "locked"]
    assert [facts["lock"] for facts in told] == ["network"] * 9 + ["account"]
    assert told[-1]["username"] == "alice"
    assert told[-1]["address"] == NETWORKS[9]


async def test_of_names_that_nobody_has_no_event_tells(shipped: People) -> None:
    await attacked(shipped, None, NETWORKS[:20], 12)
    assert await shipped.said(UserChanged) == []


async def test_an_administrator_unlocks_and_it_is_told_who_and_what(shipped: People) -> None:
    alice = await shipped.make()
    await attacked(shipped, alice.pk, NETWORKS[:20], 12)
    unlocking = Unlocking(shipped.database, shipped.clock, LIMITS)
    assert await unlocking.unlock(alice.pk, by="akadmin") == Unlocked(("account", "network"), guesses=100)
    assert (await shipped.guess(alice.pk, "alice-pw", address=NETWORKS[0])).outcome == "ok"
    assert await unlocking.unlock(alice.pk, by="akadmin") == Unlocked((), guesses=0)
    told = [event.facts for event in await shipped.said(UserChanged) if event.what == "unlocked"]
    assert [(facts["by"], facts["locked"]) for facts in told] == [("akadmin", ("account", "network")), ("akadmin", ())]
    assert await unlocking.unlock(99_999, by="akadmin") is None
    assert await unlocking.unlock(2**40, by="akadmin") is None


async def test_an_unlock_while_a_guess_is_under_way_does_not_bring_old_failures_back(shipped: People) -> None:
    alice = await shipped.make()
    await attacked(shipped, alice.pk, NETWORKS[:20], 12)
    async with asyncio.timeout(30):
        under_way = [
            asyncio.create_task(shipped.guess(alice.pk, "wrong", key=shipped.ask_key(800 + n), address=NETWORKS[100 + n])) for n in range(4)
        ]
        await Unlocking(shipped.database, shipped.clock, LIMITS).unlock(alice.pk, by="akadmin")
        await asyncio.gather(*under_way)
    (row,) = await shipped.database.fetch("SELECT slots FROM account_guesses")
    assert len(unpacked(row["slots"])) <= 4


async def test_the_log_names_the_place_and_the_address_and_never_the_name_or_the_password(
    shipped: People, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await shipped.make()
    for identifier, user in (("alice", alice.pk), ("ALICE", None), ("canary-name", None)):
        await shipped.guess(user, "canary-password", address="192.0.2.4", identifier=identifier)
    lines = [record.__dict__ for record in caplog.records if record.name == "security.login_failed"]
    told = [{key: line[key] for key in ("address", "flow", "stage", "limited")} for line in lines]
    assert told == [{"address": "192.0.2.4", "flow": "login", "stage": "password", "limited": ""}] * 3
    assert lines[0]["name_digest"] == lines[1]["name_digest"] != lines[2]["name_digest"]
    assert "canary" not in repr(lines)
