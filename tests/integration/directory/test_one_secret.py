"""One installation, one `SLUICE_SECRET_KEY`; it can be changed, with both in the ring; what is old is opened until then."""

import asyncio

import pytest

from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.secret_check import accept_secret, keep_to_one_secret
from shared.contracts.directory import KEY_SKEW_US, KeyPublished
from shared.contracts.errors import BadSeal
from shared.kernel.variables import Misconfigured
from tests.integration.directory.conftest import People
from tests.integration.directory.test_epoch_keys import sealed_to

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


async def test_a_second_executor_with_another_secret_is_refused_by_its_setting(people: People) -> None:
    await keep_to_one_secret(people.database, [OLD])
    await keep_to_one_secret(people.database, [OLD])
    with pytest.raises(Misconfigured, match=r"^SLUICE_SECRET_KEY: .*SLUICE_SECRET_KEY_PREVIOUS"):
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
