"""Passwords: admitted, counted, hashed; the same for those who exist and those who do not; no path dodges the limits."""

import asyncio
import base64
import hashlib
import threading
from collections.abc import Callable

import pytest

from services.executor.common.ports import Busy
from services.executor.directory import hashing
from services.executor.directory.directory import PostgresDirectory, open_directory
from services.executor.directory.hashing import HashPool, verify_password
from services.executor.directory.slots import unpacked
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.passwords import TEST_TARGET, Cost, PasswordHash, parse_hash
from shared.contracts.directory import UserChanged
from shared.kernel.clock import FixedClock
from shared.postgres.away import PostgresUnavailable
from shared.postgres.pool import Database, open_pool
from sluice.embedded_postgres.server import Role
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import INBUILT, SECRET, People


async def slots(people: People) -> list[tuple[int, int]]:
    """Of each account or name: how many slots are used up, how many are taken."""
    rows = await people.database.fetch("SELECT slots FROM account_guesses")
    found = [unpacked(row["slots"]) for row in rows]
    return sorted((sum(slot.failed for slot in some), sum(not slot.failed for slot in some)) for some in found)


async def of_addresses(people: People) -> list[tuple[int, int]]:
    return [(row["failures"], row["pending"]) for row in await people.database.fetch("SELECT * FROM address_guesses ORDER BY failures")]


async def test_the_right_password_is_ok_with_the_account_and_method(people: People) -> None:
    alice = await people.make()
    result = await people.guess(alice.pk, "alice-pw")
    assert (result.outcome, result.backend, result.method, result.limited) == ("ok", INBUILT, "password", "")
    assert result.user == alice.facts


async def test_everything_else_is_wrong_in_the_same_words(people: People) -> None:
    alice = await people.make()
    disabled = await people.make("dora", "dora-pw")
    await people.users.set_active(disabled.pk, active=False)
    keyless = await people.make("keyless", None)
    wrong = [
        await people.guess(alice.pk, "alice-pW"),
        await people.guess(None, "alice-pw", identifier="nobody"),
        await people.guess(None, "alice-pw"),
        await people.guess(99_999, "alice-pw"),
        await people.guess(disabled.pk, "dora-pw", identifier="dora"),
        await people.guess(keyless.pk, "", identifier="keyless"),
        await people.guess(keyless.pk, "x", identifier="keyless"),
        await people.guess(alice.pk, "alice-pw", backends=("authentik.core.auth.TokenBackend", "authentik.sources.ldap.auth.LDAPBackend")),
        await people.guess(alice.pk, "x" * 1025),
        await people.guess(alice.pk, "alice-pw\0"),
    ]
    assert all(result == wrong[0] for result in wrong)
    assert wrong[0].model_dump() == {"outcome": "wrong", "user": None, "backend": "", "method": "", "limited": "", "knows_browser": False}


async def test_a_guess_takes_one_hash_whoever_it_is_for(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, disabled, keyless = await people.make(), await people.make("dora", "dora-pw"), await people.make("keyless", None)
    await people.users.set_active(disabled.pk, active=False)
    hashed: list[str] = []

    def verify(stored: PasswordHash, password: str) -> bool:
        hashed.append(password)
        return verify_password(stored, password)

    monkeypatch.setattr(hashing, "verify_password", verify)
    guesses: list[tuple[int | None, str]] = [
        (alice.pk, "alice"), (None, "nobody"), (None, "alice"), (99_999, "gone"), (disabled.pk, "dora"), (keyless.pk, "keyless"),
        *[(alice.pk, "alice")] * 12, *[(None, "nobody")] * 12,
    ]  # fmt: skip
    results = []
    for n, (user, name) in enumerate(guesses):
        results.append(await people.guess(user, f"wrong {n}", identifier=name, address=f"192.0.2.{n}"))
        assert hashed == [f"wrong {m}" for m in range(n + 1)]
    assert {result.outcome for result in results} == {"wrong"} and results[-1].limited == "account"
    await people.guess(alice.pk, "alice-pw", backends=("authentik.core.auth.TokenBackend",))
    assert len(hashed) == len(guesses) + 1


async def test_one_key_gets_one_answer_and_counts_once(people: People) -> None:
    alice = await people.make()
    key = people.ask_key()
    first = await people.guess(alice.pk, "wrong", key=key)
    assert await people.guess(alice.pk, "alice-pw", key=key) == first
    assert [event.what for event in await people.said(UserChanged)] == ["created", "login_failed"]
    assert await slots(people) == [(1, 0)]
    again = people.ask_key()
    right = await people.guess(alice.pk, "alice-pw", key=again)
    await people.users.set_password(alice.pk, "other-pw")
    assert await people.guess(alice.pk, "wrong", key=again) == right


async def test_a_success_gives_its_slot_back_and_is_no_failure_of_the_address(people: People) -> None:
    alice = await people.make()
    for _ in range(9):
        await people.guess(alice.pk, "wrong")
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "ok"
    assert (await slots(people), await of_addresses(people)) == ([(9, 0)], [(9, 0)])


async def test_from_the_limit_on_nothing_is_looked_at_until_the_hour_is_over(people: People) -> None:
    alice = await people.make()
    for n in range(10):
        assert (await people.guess(alice.pk, "wrong")).limited == ""
        people.clock.advance(60 if n < 9 else 0)
    refused = await people.guess(alice.pk, "alice-pw")
    assert (refused.outcome, refused.limited) == ("wrong", "account")
    people.clock.advance(3600 - 9 * 60 - 1)
    assert (await people.guess(alice.pk, "alice-pw")).limited == "account"
    people.clock.advance(1)
    assert (await people.guess(alice.pk, "wrong")).limited == ""  # the first of the hour is over, the nine others are not
    assert (await people.guess(alice.pk, "alice-pw")).limited == "account"
    people.clock.advance(60)
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "ok"


async def test_a_new_password_clears_the_count(people: People) -> None:
    alice = await people.make()
    for _ in range(11):
        await people.guess(alice.pk, "wrong")
    await people.users.set_password(alice.pk, "new-pw")
    assert (await people.guess(alice.pk, "new-pw")).outcome == "ok"


async def test_guesses_over_all_spellings_share_one_counter(people: People) -> None:
    alice = await people.make("alice", email="a.lice@example.com")
    for identifier in [
        "ALICE",
        "\uff41\uff4c\uff49\uff43\uff45",
        " alice ",
        "a.lice@example.com",
        "ⓐlice",
        "alice\u00a0",
        "alice",
        "x",
        "y",
        "z",
    ]:
        assert (await people.guess(alice.pk, "wrong", identifier=identifier)).limited == ""
    assert await slots(people) == [(10, 0)]
    assert (await people.guess(alice.pk, "alice-pw", identifier="aLICE")).limited == "account"


async def test_guesses_at_a_name_that_nobody_has_share_one_counter_over_all_spellings(people: People) -> None:
    for identifier in ["Bob", "bob", "ⓑob", " bob", "bob\u00a0", "BOB", "\uff42ob", "bOb", "boB", "BoB"]:
        assert (await people.guess(None, "wrong", identifier=identifier)).limited == ""
    assert await slots(people) == [(10, 0)]
    assert (await people.guess(None, "wrong", identifier="bob")).limited == "account"


async def test_who_is_taken_for_nobody_uses_nothing_up_of_an_account_of_that_name(people: People) -> None:
    alice = await people.make()
    for n in range(12):
        await people.guess(None, "wrong", identifier="alice", address=f"192.0.2.{n}")
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "ok"


async def test_names_that_nobody_has_are_counted_and_limited_too(people: People) -> None:
    for _ in range(10):
        await people.guess(None, "x", identifier="nobody")
    assert (await people.guess(None, "x", identifier="NoBody")).limited == "account"
    assert await slots(people) == [(10, 0)]


async def test_a_hundred_guesses_at_once_over_two_workers_get_exactly_the_limit(
    people: People, postgres_dsn: Callable[[Role], str], hashes: HashPool, clock: FixedClock
) -> None:
    alice = await people.make()
    other = await open_directory(postgres_dsn("executor"), schema=people.database.schema)
    limits = GuessLimits(account=10, address=1000)
    workers = [PostgresDirectory(database, hashes, clock, limits, secret=SECRET) for database in (people.database, other)]
    looked_at = 0

    async def guess(n: int) -> None:
        nonlocal looked_at
        one = People(people.database, workers[n % 2], people.logins, people.users, clock, hashes)
        result = await one.guess(alice.pk, "wrong", key=people.ask_key(1000 + n), address=f"192.0.2.{n}")
        looked_at += not result.limited

    for begin in range(0, 100, 25):  # so many find a place where hashes are made
        await asyncio.gather(*(guess(n) for n in range(begin, begin + 25)))
    assert looked_at == 10
    await other.close()


async def test_an_address_has_a_limit_of_its_own_and_a_network_of_ipv6_is_one(people: People) -> None:
    alice = await people.make()
    for n in range(30):
        await people.guess(None, "x", identifier=f"nobody{n}", address=f"2001:db8::{n:x}")
    refused = await people.guess(alice.pk, "alice-pw", address="2001:db8::ffff")
    assert (refused.outcome, refused.limited) == ("wrong", "address")
    assert (await people.guess(alice.pk, "alice-pw", address="2001:db8:0:1::1")).outcome == "ok"
    people.clock.advance(3600)
    assert (await people.guess(alice.pk, "alice-pw", address="2001:db8::1")).outcome == "ok"


async def test_a_refused_address_does_not_use_up_the_account(people: People) -> None:
    alice = await people.make()
    for n in range(40):
        await people.guess(None, "x", identifier=f"nobody{n}")
    for _ in range(20):
        await people.guess(alice.pk, "wrong")
    assert (await people.guess(alice.pk, "alice-pw", address="198.51.100.7")).outcome == "ok"


async def test_ipv4_in_ipv6_clothes_is_the_same_address(people: People) -> None:
    for n in range(30):
        await people.guess(None, "x", identifier=f"nobody{n}", address="::ffff:192.0.2.9" if n % 2 else "192.0.2.9")
    assert (await people.guess(None, "x", identifier="more", address="192.0.2.9")).limited == "address"


async def test_a_full_pool_is_busy_before_anything_is_counted(people: People, clock: FixedClock) -> None:
    alice = await people.make()
    gate = threading.Event()

    def wait(_: float) -> None:
        gate.wait(PATIENT_S)

    pool = HashPool(clock, TEST_TARGET, workers=1, waiting=1, observe_wait=wait)
    directory = PostgresDirectory(people.database, pool, clock, secret=SECRET)
    full = People(people.database, directory, people.logins, people.users, clock, pool)
    held = [asyncio.create_task(full.guess(alice.pk, "alice-pw", key=people.ask_key(n))) for n in (501, 502)]
    async with asyncio.timeout(PATIENT_S):
        while await slots(people) != [(0, 2)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await full.guess(alice.pk, "alice-pw", key=people.ask_key(503))
    assert await slots(people) == [(0, 2)]
    gate.set()
    assert [result.outcome for result in await asyncio.gather(*held)] == ["ok", "ok"]
    assert await slots(people) == [(0, 0)]
    pool.close()


async def test_a_hash_of_django_is_accepted_and_brought_to_the_target(people: People) -> None:
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"bob-pw", b"salt", 1000)).decode()
    bob = await people.make("bob", f"pbkdf2_sha256$1000$salt${digest}", hash_allowed=True)
    assert (await people.guess(bob.pk, "wrong", identifier="bob")).outcome == "wrong"
    assert (await people.guess(bob.pk, "bob-pw", identifier="bob")).outcome == "ok"
    (row,) = await people.database.fetch("SELECT password, epoch FROM users WHERE pk = $1", bob.pk)
    assert row["password"].startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert row["epoch"] == bob.facts.epoch, "a better hash of the same password ends no login"
    assert (await people.guess(bob.pk, "bob-pw", identifier="bob")).outcome == "ok"


async def test_a_hash_below_the_target_is_raised_and_one_above_is_kept(people: People, clock: FixedClock) -> None:
    alice = await people.make()
    dearer = HashPool(clock, Cost(2, 16))
    for _ in range(2):
        directory = PostgresDirectory(people.database, dearer, clock, secret=SECRET)
        await People(people.database, directory, people.logins, people.users, clock, dearer).guess(
            alice.pk, "alice-pw", key=people.ask_key()
        )
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "ok"
    (row,) = await people.database.fetch("SELECT password FROM users")
    parsed = parse_hash(row["password"])
    assert parsed is not None
    assert parsed.text.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    dearer.close()


async def test_forms_of_one_password_are_one_password(people: People) -> None:
    user = await people.make("uma", "caf\u00e9 \uff11\uff12")
    for typed in ("cafe\u0301 12", "caf\u00e9\u00a012"):
        assert (await people.guess(user.pk, typed, identifier="uma")).outcome == "ok"


async def test_a_failed_guess_at_an_account_is_told_without_the_password(people: People) -> None:
    alice = await people.make()
    await people.guess(alice.pk, "canary-7731", address="192.0.2.4")
    await people.guess(None, "canary-7731", identifier="nobody")
    told = [event for event in await people.said(UserChanged) if event.what == "login_failed"]
    assert [(event.user, event.session, event.facts["address"]) for event in told] == [(alice.pk, "07.session", "192.0.2.4")]
    for table in ("outbox", "ask_results", "account_guesses", "address_guesses", "users"):
        rows = await people.database.fetch(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608
        assert rows
        assert not [row for row in rows if "canary" in row["row"] or b"canary".hex() in row["row"]]


async def test_postgresql_away_decides_nothing(people: People, clock: FixedClock, hashes: HashPool) -> None:
    nowhere = await open_pool("postgresql://executor@/sluice?host=/nonexistent", schema="executor")
    directory = PostgresDirectory(nowhere, hashes, clock, secret=SECRET)
    with pytest.raises(PostgresUnavailable):
        await People(nowhere, directory, people.logins, people.users, clock, hashes).guess(1, "x", key=people.ask_key())
    await nowhere.close()


async def statements_of(database: Database) -> list[str]:
    """Every statement from now on."""
    statements: list[str] = []
    async with database._pool.acquire() as connection:
        connection.add_query_logger(lambda record: statements.append(record.query))
    return statements


async def test_a_look_up_and_a_login_take_few_statements(people: People, database: Database) -> None:
    alice = await people.make()
    await people.guess(alice.pk, "alice-pw")  # reads which kinds of hashes there are, once in a while
    statements = await statements_of(database)
    await people.guess(alice.pk, "alice-pw")
    await people.log_in(alice.facts)
    assert len(statements) == 2 + 1, statements


@pytest.mark.parametrize("somebody", [True, False])
async def test_an_account_and_a_name_of_nobody_cost_the_same_statements(people: People, database: Database, somebody: bool) -> None:
    alice = await people.make()
    await people.guess(alice.pk, "alice-pw")
    user, name = (alice.pk, "alice") if somebody else (None, "nobody at all")
    statements = await statements_of(database)
    counts = []
    for _ in range(3):
        await people.guess(user, "wrong", identifier=name)
        counts.append(len(statements))
        statements.clear()
    assert counts == [2, 3, 3]  # the first takes its slot as it is looked up, others are decided on


@pytest.mark.parametrize(
    ("known", "device", "pool"),
    [(False, "", "s|192.0.2.1"), (True, "", "n|192.0.2.1"), (True, "login-1", "b|login-1"), (False, "nobody's", "s|192.0.2.1")],
)
async def test_a_first_guess_takes_the_slot_that_it_would_take_later(people: People, known: bool, device: str, pool: str) -> None:
    """The same pool, whether it was taken as the account was looked up or decided on afterwards."""
    alice = await people.make()
    if known:
        await people.guess(alice.pk, "alice-pw")
        await people.log_in(alice.facts)
    for guess in (1, 2):
        await people.guess(alice.pk, "wrong", device=device)
        (row,) = await people.database.fetch("SELECT slots, revision FROM account_guesses")
        slots = unpacked(row["slots"])
        assert [slot.pool for slot in slots] == [pool] * guess
        assert all(slot.failed for slot in slots) and len({slot.key for slot in slots}) == guess


@pytest.mark.parametrize("somebody", [True, False])
async def test_first_guesses_at_once_all_count(people: People, somebody: bool) -> None:
    alice = await people.make()
    user, name = (alice.pk, "alice") if somebody else (None, "nobody at all")
    await asyncio.gather(*(people.guess(user, "wrong", identifier=name) for _ in range(5)))
    (row,) = await people.database.fetch("SELECT slots FROM account_guesses")
    assert [slot.failed for slot in unpacked(row["slots"])] == [True] * 5


async def test_an_attempt_that_is_done_again_keeps_its_first_slot(
    people: People, hashes: HashPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, key = await people.make(), people.ask_key()

    async def dies(*_: object) -> bool:
        raise RuntimeError("the worker ends while it hashes")

    with monkeypatch.context() as patched:
        patched.setattr(hashing.Place, "verify", dies)
        with pytest.raises(RuntimeError):
            await people.guess(alice.pk, "wrong", key=key)
    (row,) = await people.database.fetch("SELECT slots FROM account_guesses")
    (taken,) = unpacked(row["slots"])
    assert not taken.failed
    assert (await people.guess(alice.pk, "wrong", key=key)).outcome == "wrong"
    (row,) = await people.database.fetch("SELECT slots FROM account_guesses")
    assert [(slot.key, slot.pool, slot.failed) for slot in unpacked(row["slots"])] == [(taken.key, taken.pool, True)]
