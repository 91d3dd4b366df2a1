"""Accounts whose hash another system made, beside ours and beside names that nobody has."""

import base64
import hashlib
from collections import Counter
from typing import Any, cast

import pytest

from services.executor.common.ports import Busy
from services.executor.directory.directory import PostgresDirectory
from services.executor.directory.hashing import HashPool
from services.executor.directory.importing import import_users
from services.executor.directory.kinds import KINDS_MAX, MIN_AGE_S, HashKinds
from services.executor.rules.passwords import TEST_TARGET, Cost, Kind, Pbkdf2Cost
from shared.kernel.clock import FixedClock
from shared.kernel.ids import derived_bytes
from shared.postgres.pool import Database
from tests.integration.directory.conftest import SECRET, People
from tests.unit.directory.test_passwords import raw_argon2

NAMES = [f"nobody{n}" for n in range(400)]
SHA256 = Pbkdf2Cost("sha256", 1000)


def django(password: str, iterations: int = 1000) -> str:
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", iterations)).decode()
    return f"pbkdf2_sha256${iterations}$salt${digest}"


async def import_(people: People, *rows: tuple[str, str]) -> list[tuple[int, str]]:
    lines = ["username,email,name,password\n", *(f'{name},,,"{password}"\n' for name, password in rows)]
    return list((await import_users(people.database, people.users, people.clock, lines)).refused)


def kinds_of(people: People, key: bytes = SECRET) -> HashKinds:
    return HashKinds(people.database, people.hashes, people.clock, key)


async def drawn(kinds: HashKinds, names: list[str]) -> list[Kind]:
    return [(await kinds.expected(None, name)).cost for name in names]


async def test_a_name_that_nobody_has_gets_a_kind_by_the_shares_of_the_accounts(people: People) -> None:
    await import_(people, *((f"own{n}", "pw") for n in range(6)), *((f"django{n}", django("pw")) for n in range(3)))
    await import_(people, ("other", django("pw", 2000)))
    counted = Counter(await drawn(kinds_of(people), NAMES))
    assert set(counted) == {TEST_TARGET, SHA256, Pbkdf2Cost("sha256", 2000)}
    # Within 4 sigma of 240, 120 and 40 of 400: the key is fixed, so it is the same each time.
    assert 200 < counted[TEST_TARGET] < 280
    assert 83 < counted[SHA256] < 157
    assert 16 < counted[Pbkdf2Cost("sha256", 2000)] < 64


async def test_the_same_name_has_the_same_kind_in_every_process_and_spelling_and_only_the_key_tells_which(people: People) -> None:
    await import_(people, *((f"own{n}", "pw") for n in range(5)), *((f"django{n}", django("pw")) for n in range(5)))
    first = await drawn(kinds_of(people), NAMES)
    assert await drawn(kinds_of(people), NAMES) == first
    assert await drawn(kinds_of(people), [f" {name.upper()} " for name in NAMES]) == first
    other = await drawn(kinds_of(people, b"x" * 32), NAMES)
    assert 120 < sum(one != two for one, two in zip(first, other, strict=True)) < 280


async def test_a_name_goes_from_a_foreign_kind_to_ours_as_accounts_do_and_never_back(people: People, clock: FixedClock) -> None:
    await import_(people, *((f"django{n}", django("pw")) for n in range(4)), *((f"old{n}", django("pw", 2000)) for n in range(4)))
    kinds = kinds_of(people)
    before = await drawn(kinds, NAMES)
    for name in ("django0", "django1", "django2", "old0"):
        user = await people.find(name)
        assert user is not None
        assert (await people.guess(user.pk, "pw", identifier=name)).outcome == "ok"
        clock.advance(MIN_AGE_S)
        after = await drawn(kinds, NAMES)
        moved = {(one, two) for one, two in zip(before, after, strict=True) if one != two}
        assert {two for _, two in moved if two == TEST_TARGET}, "some names follow"
        before = after
    assert set(before) == {TEST_TARGET, SHA256, Pbkdf2Cost("sha256", 2000)}


async def test_names_only_leave_a_kind_whose_share_falls(people: People, clock: FixedClock) -> None:
    await import_(people, *((f"own{n}", "pw") for n in range(4)), *((f"django{n}", django("pw")) for n in range(4)))
    kinds = kinds_of(people)
    before = await drawn(kinds, NAMES)
    user = await people.find("django0")
    assert user is not None
    await people.guess(user.pk, "pw", identifier="django0")
    clock.advance(MIN_AGE_S)
    after = await drawn(kinds, NAMES)
    assert {(one, two) for one, two in zip(before, after, strict=True) if one != two} == {(SHA256, TEST_TARGET)}


async def test_an_account_without_a_password_is_one_more_name_that_has_none(people: People) -> None:
    await import_(people, ("own", "pw"), ("django", django("pw")))
    user = await people.make("nopass", None)
    kinds = kinds_of(people)
    assert (await kinds.expected(user.pk, "nopass")).cost == (await kinds.expected(None, "nopass")).cost
    assert (await people.guess(user.pk, "", identifier="nopass")).outcome == "wrong"
    assert (await people.guess(user.pk, "pw", identifier="nopass")).outcome == "wrong"


async def test_who_is_imported_while_it_runs_is_in_the_next_draw(people: People) -> None:
    kinds = kinds_of(people)
    await people.make()
    assert set(await drawn(kinds, NAMES)) == {TEST_TARGET}
    await import_(people, *((f"django{n}", django("pw")) for n in range(9)))
    row = await people.database.fetchrow("SELECT password, password_as_typed FROM users WHERE username = 'django1'")
    assert row is not None
    kinds.of(row)
    assert set(await drawn(kinds, NAMES)) == {TEST_TARGET, SHA256}


async def test_reading_the_shares_takes_a_hundredth_of_the_time_however_often_strange_accounts_are_met(people: People) -> None:
    await import_(people, *((f"django{n}", django("pw", 1000 + n)) for n in range(KINDS_MAX + 6)))
    reads: list[float] = []

    class Slow:
        """The database, which takes a second for the shares."""

        async def fetch(self, statement: str, *values: object) -> Any:
            people.clock.advance(1)
            reads.append(people.clock.monotonic())
            return await people.database.fetch(statement, *values)

        async def fetchrow(self, statement: str, *values: object) -> Any:
            return await people.database.fetchrow(statement, *values)

    kinds = HashKinds(cast("Database", Slow()), people.hashes, people.clock, SECRET)
    for _ in range(3):
        for name in (f"django{n}" for n in range(KINDS_MAX + 6)):
            row = await people.database.fetchrow("SELECT pk, password, password_as_typed FROM users WHERE username = $1", name)
            assert row is not None
            kinds.of(row)
            await kinds.expected(row["pk"], name)
            people.clock.advance(1)
    assert len(reads) == 3, "in 210 s"


@pytest.mark.parametrize("password", ["pw", "\uff50\uff57", "cafe\u0301", "\u2168 x\u00b2", "\u00b4"])
@pytest.mark.parametrize("made", [django, raw_argon2, lambda pw: "argon2" + raw_argon2(pw)])
async def test_a_hash_from_elsewhere_is_of_what_was_typed_there_and_becomes_ours_at_the_first_success(
    people: People, password: str, made: object
) -> None:
    assert callable(made)
    assert await import_(people, ("ann", made(password))) == []
    user = await people.find("ann")
    assert user is not None
    assert (await people.guess(user.pk, "no", identifier="ann")).outcome == "wrong"
    (before,) = await people.database.fetch("SELECT password, password_as_typed, epoch FROM users")
    assert before["password_as_typed"]
    assert (await people.guess(user.pk, password, identifier="ann")).outcome == "ok"
    (after,) = await people.database.fetch("SELECT password, password_as_typed, epoch FROM users")
    assert after["password"].startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert (after["password_as_typed"], after["epoch"]) == (False, before["epoch"])
    assert (await people.guess(user.pk, password, identifier="ann")).outcome == "ok"


async def test_a_hash_that_costs_more_than_ours_stays_as_dear(people: People, clock: FixedClock) -> None:
    cheaper = HashPool(clock, Cost(1, 8))
    directory = PostgresDirectory(people.database, cheaper, clock, secret=SECRET)
    here = People(people.database, directory, people.logins, people.users, clock, cheaper)
    dear = HashPool(clock, Cost(3, 32))
    with dear.place() as place:
        text = await place.hash("pw")
    await import_(people, ("ann", text))
    user = await people.find("ann")
    assert user is not None
    assert (await here.guess(user.pk, "pw", identifier="ann", key=people.ask_key())).outcome == "ok"
    (row,) = await people.database.fetch("SELECT password, password_as_typed FROM users")
    assert (row["password"], row["password_as_typed"]) == (text, False)
    cheaper.close()
    dear.close()


async def test_guessers_at_foreign_hashes_keep_nobody_else_waiting(people: People, clock: FixedClock) -> None:
    await import_(people, ("own", "pw"), ("django", django("pw")))
    own, foreign = await people.find("own"), await people.find("django")
    assert own is not None
    assert foreign is not None
    pool = HashPool(clock, TEST_TARGET, workers=2, waiting=0)
    directory = PostgresDirectory(people.database, pool, clock, secret=SECRET)
    here = People(people.database, directory, people.logins, people.users, clock, pool)
    kinds = HashKinds(people.database, pool, clock, derived_bytes(SECRET, "hash kinds"))
    with pool.place(await kinds.expected(foreign.pk, "django")):
        with pytest.raises(Busy):
            await here.guess(foreign.pk, "wrong", identifier="django", key=people.ask_key())
        cost_of = dict(zip(NAMES, await drawn(kinds, NAMES), strict=True))
        like_foreign = next(name for name in NAMES if cost_of[name] == SHA256)
        with pytest.raises(Busy):
            await here.guess(None, "wrong", identifier=like_foreign, key=people.ask_key())
        assert await people.database.fetch("SELECT FROM account_guesses") == [], "nothing is counted"
        for _ in range(3):
            assert (await here.guess(own.pk, "pw", identifier="own", key=people.ask_key())).outcome == "ok"
        like_own = next(name for name in NAMES if cost_of[name] == TEST_TARGET)
        assert (await here.guess(None, "pw", identifier=like_own, key=people.ask_key())).outcome == "wrong"
    pool.close()


async def test_what_cannot_be_taken_over_is_reported_by_its_line_and_makes_nobody(people: People) -> None:
    refused = await import_(
        people, ("ann", "x"), ("bea", django("pw").replace("1000", "20000000")), ("cis", "$2b$12$" + "a" * 53), ("dan", "!" + "a" * 40)
    )
    assert [line for line, _ in refused] == [3, 4]
    assert "asks for 20000000 iterations, at most 2000000 are taken." in refused[0][1]
    rows = await people.database.fetch("SELECT username, password IS NULL AS none FROM users ORDER BY 1")
    assert [(row["username"], row["none"]) for row in rows] == [("ann", False), ("dan", True)]


async def test_a_hash_of_an_unknown_kind_is_reported_by_its_line_and_an_honest_password_works(people: People) -> None:
    """The kinds: tests/security/test_a_hash_for_a_password.py."""
    refused = await import_(
        people,
        ("ann", "*" + "0A1B" * 10),
        ("bea", "pa$$word"),
        ("cis", " " + django("pw")),
        ("dan", "scrypt:32768:8:1$salt$" + "0a1b" * 32),
    )
    assert [line for line, _ in refused] == [2, 4, 5]
    assert all("sluice users set-password" in reason for _, reason in refused)
    bea = await people.find("bea")
    assert bea is not None
    assert (await people.guess(bea.pk, "pa$$word", identifier="bea")).outcome == "ok"
    assert await people.find("ann") is None
