"""One installation, one `SLUICE_SECRET_KEY`; it can be changed, with both in the ring; what is old is opened until then."""

import asyncio
from contextlib import suppress

import pytest

from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.secret_key_check import SecretHolder, SecretKeyDiffers, accept_secret, refuse_another_secret
from services.executor.settings import Settings
from shared.contracts.directory import KEY_SKEW_US, KeyPublished
from shared.contracts.errors import BadSeal
from shared.kernel.errors import Unavailable
from shared.kernel.variables import Misconfigured
from shared.postgres.pool import Database
from shared.runtime.environment import load
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People
from tests.integration.directory.test_epoch_keys import sealed_to

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


async def keep_to_one_secret(database: Database, ring: list[bytes]) -> None:
    """An executor starts with this ring, and ends."""
    holder = SecretHolder(database, ring)
    await holder.begin()
    await holder.give_up()


async def runs(database: Database, ring: list[bytes]) -> SecretHolder:
    """An executor that runs with this ring."""
    holder = SecretHolder(database, ring)
    await holder.begin()
    return holder


@pytest.mark.parametrize(
    ("running", "ring", "makes_with"),
    [
        ([[OLD]], [OTHER, OLD], OLD),  # it takes ours, and nobody takes what it would make
        ([[OLD]], [NEW, OLD], OLD),  # the second restart before the first
        ([[OLD]], [OTHER, NEW, OLD], OLD),
        ([[OLD], [OLD, NEW]], [NEW, OLD], OLD),
        ([[OLD, NEW], [OLD, OTHER]], [OTHER, NEW, OLD], OLD),
        ([[OLD]], [OLD, NEW], OLD),
        ([[OLD, NEW]], [NEW, OLD], NEW),
        ([[NEW, OLD]], [OLD, NEW], OLD),
        ([[NEW, OLD]], [NEW], NEW),
        ([[NEW, OTHER]], [NEW, OLD], NEW),
        ([[NEW, OLD]], [OLD, OTHER], None),  # it would not take what those make
        ([[NEW, OLD]], [OLD], None),
        ([[OLD, NEW]], [NEW], None),
    ],
)
async def test_who_starts_makes_with_a_key_that_all_who_run_take(
    people: People, running: list[list[bytes]], ring: list[bytes], makes_with: bytes | None
) -> None:
    others = [await runs(people.database, one) for one in running]
    late = SecretHolder(people.database, ring)

    async def begin() -> bytes:
        with suppress(Unavailable):
            return await late.begin()  # or they were killed just now
        for one in others:
            await one._hold()
        return await late.begin()

    if makes_with is None:
        with pytest.raises(SecretKeyDiffers, match="SLUICE_SECRET_KEY"):
            await begin()
    else:
        assert await begin() == makes_with
        ours = [makes_with, *(one for one in ring if one != makes_with)]
        assert await SecretHolder(people.database, ours).begin() == makes_with
    for again in running:  # nothing was noted that would keep them from starting again
        await SecretHolder(people.database, again).begin()


async def test_those_that_run_have_no_key_that_we_have(people: People) -> None:
    running = await runs(people.database, [OLD])
    await people.database.execute("DELETE FROM secret_check")
    late = SecretHolder(people.database, [OTHER, NEW])
    with pytest.raises(Unavailable):
        await late.begin()
    await running._hold()
    await people.database.execute("DELETE FROM secret_check")
    with pytest.raises(SecretKeyDiffers):
        await late.begin()


async def test_who_was_killed_is_waited_for_and_who_stopped_in_good_order_is_not(people: People) -> None:
    killed, stopped = [await runs(people.database, [OLD]) for _ in range(2)]
    late = SecretHolder(people.database, [NEW, OLD])
    for _ in range(3):
        with pytest.raises(Unavailable, match="SLUICE_SECRET_KEY"):
            await late.begin()
    await stopped.give_up()
    await people.database.execute("UPDATE secret_holders SET until = clock_timestamp() WHERE holder = $1", killed._values[0])
    await late.begin()
    await late._hold()
    with pytest.raises(SecretKeyDiffers):
        await keep_to_one_secret(people.database, [OLD])


async def test_what_was_said_before_postgres_clock_was_set_back_keeps_nobody_out(people: People) -> None:
    await runs(people.database, [OLD])
    await people.database.execute("UPDATE secret_holders SET until = until + interval '1 hour'")
    await keep_to_one_secret(people.database, [NEW, OLD])


async def test_a_fingerprint_that_was_deleted_comes_back_and_lets_nobody_in_meanwhile(people: People) -> None:
    running = await runs(people.database, [OLD])
    await people.database.execute("DELETE FROM secret_check")
    late = SecretHolder(people.database, [OTHER])
    with pytest.raises(Unavailable):
        await late.begin()
    await running._hold()
    with pytest.raises(SecretKeyDiffers):
        await late.begin()
    await running.give_up()
    with pytest.raises(SecretKeyDiffers):
        await keep_to_one_secret(people.database, [OTHER])
    await keep_to_one_secret(people.database, [OLD])


async def test_a_second_executor_with_another_secret_is_refused_by_its_setting(people: People) -> None:
    await keep_to_one_secret(people.database, [OLD])
    await keep_to_one_secret(people.database, [OLD])
    with pytest.raises(SecretKeyDiffers, match=r"^SLUICE_SECRET_KEY: .*SLUICE_SECRET_KEY_PREVIOUS"):
        await keep_to_one_secret(people.database, [OTHER])
    await keep_to_one_secret(people.database, [OLD])  # the first one is not harmed


async def test_of_two_that_start_at_once_with_unlike_secrets_one_is_refused(people: People) -> None:
    ends = await asyncio.gather(*(keep_to_one_secret(people.database, [one]) for one in (OLD, NEW)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "SecretKeyDiffers"]


async def test_the_secret_is_changed_executor_by_executor(people: People) -> None:
    await keep_to_one_secret(people.database, [OLD])
    await keep_to_one_secret(people.database, [OLD, NEW])  # first all learn of the new one
    await keep_to_one_secret(people.database, [NEW, OLD])
    await keep_to_one_secret(people.database, [OLD, NEW])  # one that is restarted before its turn
    await keep_to_one_secret(people.database, [NEW, OLD])
    await keep_to_one_secret(people.database, [NEW])
    with pytest.raises(Misconfigured):
        await keep_to_one_secret(people.database, [OLD])


async def test_a_lost_secret_is_given_up_on_demand(people: People) -> None:
    await keep_to_one_secret(people.database, [OLD])
    await accept_secret(people.database, NEW)
    await keep_to_one_secret(people.database, [NEW])
    row = await people.database.fetchrow("SELECT fingerprint FROM secret_check")
    assert row is not None
    assert NEW not in row["fingerprint"]


async def test_what_was_sealed_under_the_old_secret_is_opened_under_the_new_one(people: People) -> None:
    await EpochKeys(people.database, OLD, people.clock).renew()
    (key,) = await people.said(KeyPublished)
    after = EpochKeys(people.database, NEW, people.clock, [OTHER, OLD])
    assert await after.open(sealed_to(key), "07.session", "command")
    await after.renew(force=True)
    made = next(one for one in await people.said(KeyPublished) if one.epoch != key.epoch)
    assert await EpochKeys(people.database, NEW, people.clock).open(sealed_to(made), "07.session", "command")
    with pytest.raises(BadSeal):
        await EpochKeys(people.database, OLD, people.clock).open(sealed_to(made), "07.session", "command")


async def test_a_key_made_by_a_clock_far_ahead_keeps_nobody_from_making_the_next(people: People) -> None:
    await EpochKeys(people.database, OLD, people.clock).renew()
    await people.database.execute("UPDATE epoch_keys SET made_us = made_us + $1, open_until_us = open_until_us + $1", 10 * KEY_SKEW_US)
    await EpochKeys(people.database, OLD, people.clock).renew()
    assert len(await people.said(KeyPublished)) == 2


@pytest.mark.parametrize("ahead_s", [0, 1, 30, 59])
async def test_a_worker_that_cannot_open_the_newest_key_makes_another_which_edges_prefer(people: People, ahead_s: int) -> None:
    people.clock.advance(ahead_s)
    await EpochKeys(people.database, OTHER, people.clock).renew()
    people.clock.advance(-ahead_s)
    ours = EpochKeys(people.database, OLD, people.clock)
    for _ in range(3):
        await ours.renew()
    foreign, made = await people.said(KeyPublished)
    assert made.made_us > foreign.made_us
    assert await ours.open(sealed_to(made), "07.session", "command")
    assert ours.young


async def test_it_makes_it_at_once_when_somebody_has_sealed_to_that_one(people: People) -> None:
    ours = EpochKeys(people.database, OLD, people.clock)
    running = asyncio.create_task(ours.run())
    async with asyncio.timeout(PATIENT_S):
        while not await people.said(KeyPublished):  # noqa: ASYNC110 -- its first one
            await asyncio.sleep(0.01)
    await people.database.execute("DELETE FROM epoch_keys")
    await EpochKeys(people.database, OTHER, people.clock).renew()
    foreign = (await people.said(KeyPublished))[-1]
    with pytest.raises(BadSeal):
        await ours.open(sealed_to(foreign), "07.session", "command")
    assert ours._wanted.is_set(), "it would wait for its next round"
    async with asyncio.timeout(PATIENT_S):
        while len(await people.said(KeyPublished)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_two_fleets_with_unlike_keys_do_not_outdo_each_other(people: People) -> None:
    workers = [EpochKeys(people.database, secret, people.clock) for secret in (OLD, OTHER)]
    for _ in range(5):
        for worker in workers:
            await worker.renew()
    assert len(await people.said(KeyPublished)) == 2


async def test_who_passes_by_is_refused_and_notes_nothing(people: People) -> None:
    await refuse_another_secret(people.database, [OTHER])
    await keep_to_one_secret(people.database, [OLD])
    await refuse_another_secret(people.database, [NEW, OLD])
    with pytest.raises(SecretKeyDiffers):
        await refuse_another_secret(people.database, [NEW])
    await keep_to_one_secret(people.database, [OLD])


@pytest.mark.parametrize("makes", [0, 1, 2])
def test_the_settings_begin_with_the_key_that_is_to_make(makes: int) -> None:
    ring = [f"the {which} secret of at least 32 bytes" for which in ("newest", "older", "oldest")]
    settings = load(Settings, secret_key=ring[0], secret_key_previous=",".join(ring[1:]))
    wanted = [ring[makes], *ring[:makes], *ring[makes + 1 :]]
    assert [one.decode() for one in settings.making_with(ring[makes].encode()).secrets] == wanted
