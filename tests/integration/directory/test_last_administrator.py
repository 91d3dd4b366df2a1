"""The last who may administer stays, whatever takes them away: deleting, disabling, demoting; and two at once."""

import asyncio

import pytest

from services.executor.directory.last_administrator import LastAdministrator, keeping_an_administrator
from services.executor.directory.stored import StoredUser
from services.executor.directory.tokens import create_token
from tests.integration.directory.conftest import People


async def root(people: People, name: str = "root", password: str | None = "root-pw") -> StoredUser:
    return await people.make(name, password, superuser=True)


async def take(people: People, user: StoredUser, how: str, *, force: bool = False) -> bool:
    if how == "delete":
        return await people.users.delete(user.pk, force=force)
    return await people.users.set_active(user.pk, active=False, force=force)


@pytest.mark.parametrize("how", ["delete", "disable"])
async def test_the_last_one_goes_only_by_force_and_a_refusal_changes_nothing(people: People, how: str) -> None:
    admin, alice = await root(people), await people.make()
    await people.log_in(admin.facts)
    with pytest.raises(LastAdministrator):
        await take(people, admin, how)
    assert await people.users.get(admin.pk) is not None
    assert await people.logins.look_up("login-1", admin.pk, 0)
    assert await take(people, alice, how)
    assert await take(people, admin, how, force=True)


@pytest.mark.parametrize("how", ["delete", "disable"])
async def test_of_two_one_may_go_and_then_the_other_is_the_last(people: People, how: str) -> None:
    first, second = await root(people), await root(people, "second")
    assert await take(people, first, how)
    with pytest.raises(LastAdministrator):
        await take(people, second, how)


@pytest.mark.parametrize("how", ["delete", "disable"])
async def test_who_cannot_get_in_does_not_count(people: People, how: str) -> None:
    admin, disabled = await root(people), await root(people, "disabled")
    without = await root(people, "without", None)
    await people.users.set_active(disabled.pk, active=False)
    await create_token(people.database, people.clock, without.pk, "over", expires_us=people.clock.now_us())
    with pytest.raises(LastAdministrator):
        await take(people, admin, how)
    await create_token(people.database, people.clock, without.pk, "good", expires_us=people.clock.now_us() + 1)
    assert await take(people, admin, how)


async def test_a_superuser_through_a_group_above_counts_like_any_other(people: People) -> None:
    admin = await root(people)
    async with people.database.transaction() as connection:
        group = await connection.fetchval(
            "INSERT INTO groups (name, parent) SELECT 'helpers', pk FROM groups WHERE is_superuser RETURNING pk::text"
        )
    alice = await people.make(groups=(group,))
    assert alice.facts.is_superuser
    assert await people.users.delete(admin.pk)
    with pytest.raises(LastAdministrator):
        await people.users.delete(alice.pk)


async def test_two_who_delete_each_other_at_once_leave_one(people: People) -> None:
    both = [await root(people), await root(people, "second")]
    results = await asyncio.gather(*(people.users.delete(one.pk) for one in both), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["LastAdministrator", "bool"]


async def test_a_change_of_groups_is_held_to_it_as_well(people: People) -> None:
    admin = await root(people)
    for force in (False, True):
        try:
            async with (
                people.database.transaction() as connection,
                keeping_an_administrator(connection, people.database.schema, people.clock.now_us(), force=force),
            ):
                await connection.execute("UPDATE users SET is_superuser = false WHERE pk = $1", admin.pk)
        except LastAdministrator:
            assert not force
        stored = await people.users.get(admin.pk)
        assert stored is not None
        assert stored.facts.is_superuser is not force


async def test_where_there_is_none_nobody_is_kept(people: People) -> None:
    admin = await root(people, password=None)
    assert await people.users.delete(admin.pk)
