"""Administration: what is made, changed or removed is told, and what takes a right away takes it at once."""

import asyncio

import pytest

from services.executor.directory.bootstrap_admin import ensure_admin
from services.executor.directory.importing import ImportRefused, import_users
from services.executor.directory.naming import NewUser, UserRefused
from services.executor.directory.tokens import create_token, digest_of, put_token, revoke_token
from shared.contracts.directory import LoginRevoked, TokenChanged, UserChanged
from tests.integration.directory.conftest import People


async def told(people: People) -> list[tuple[int, str, int]]:
    return [(event.user, event.what, event.epoch) for event in await people.said(UserChanged)]


async def test_a_user_is_made_found_and_told(people: People) -> None:
    alice = await people.make("Alice", name="Alice Example", email="Alice@EXAMPLE.org", attributes={"upn": "al@corp", "list": [1, "a"]})
    assert (alice.facts.username, alice.facts.email, alice.facts.attributes["list"]) == ("Alice", "Alice@EXAMPLE.org", (1, "a"))
    assert len(alice.facts.uid) == 64
    for value, fields in [
        ("alice", ("username",)), ("ALICE", ()), (" al\u0131ce ", ()), ("alice@example.org", ("email",)), ("AL@CORP", ("upn",)),
        ("ALICE@Example.ORG", ("username", "email")), ("\uff21lice", ("username",)),
    ]:  # fmt: skip
        found = await people.find(value, *fields)
        assert (found == alice.facts) == ("\u0131" not in value), value
    assert await told(people) == [(alice.pk, "created", 0)]


async def test_only_the_fields_of_the_stage_count_and_case_may(people: People) -> None:
    first = await people.make("first", attributes={"upn": "first@corp"})
    second = await people.make("shared", email="second@example.org", attributes={"upn": "second@corp"})
    assert await people.find("first@corp", "upn") == first.facts
    assert await people.find("first@corp", "username", "email") is None
    assert await people.find("shared", "username") == second.facts
    assert await people.find("second@corp", "username", "upn") == second.facts
    assert await people.find("SHARED", "username") == second.facts
    assert await people.find("SHARED", "username", case_insensitive=False) is None
    assert await people.find("second@example.org", "username") is None


@pytest.mark.parametrize("typed", ["", " ", "nobody", "a\0b", "x" * 513, "admin'--", "\u202enimda", "%", "1"])
async def test_whatever_is_typed_finds_nobody_and_breaks_nothing(people: People, typed: str) -> None:
    await people.make()
    assert await people.find(typed) is None


@pytest.mark.parametrize("username", ["ALICE", "\uff41lice", " alice "])
async def test_a_taken_name_is_refused(people: People, username: str) -> None:
    await people.make("alice")
    with pytest.raises(UserRefused) as refused:
        await people.users.create(NewUser(username))
    assert refused.value.errors == {"username": ("This field must be unique.",)}


async def test_an_address_may_not_be_somebody_elses_name_but_ones_own(people: People) -> None:
    await people.make("carol@example.org", email="carol@example.org")
    with pytest.raises(UserRefused, match="email"):
        await people.make("mallory", email="Carol@example.org")


async def test_two_who_want_one_name_at_once_get_it_once(people: People) -> None:
    results = await asyncio.gather(*(people.users.create(NewUser(name)) for name in ("bob", "BOB", "Bob")), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["StoredUser", "UserRefused", "UserRefused"]


async def test_a_new_password_ends_all_logins_and_raises_the_epoch(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    assert await people.users.set_password(alice.pk, "new-pw")
    assert not await people.logins.look_up("login-1", alice.pk, 0)
    (revoked,) = await people.said(LoginRevoked)
    assert (revoked.what, revoked.user, revoked.epoch, revoked.reason) == ("user", alice.pk, 1, "password_set")
    assert (await told(people))[-1] == (alice.pk, "password_set", 1)
    assert (await people.guess(alice.pk, "alice-pw")).outcome == "wrong"
    assert not await people.users.set_password(999, "x")
    with pytest.raises(UserRefused, match="password"):
        await people.users.set_password(alice.pk, "")


async def test_disabling_ends_logins_and_tokens_and_enabling_gives_only_the_tokens_back(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    await create_token(people.database, people.clock, alice.pk, "ci", token="t0ken")
    assert await people.users.set_active(alice.pk, active=False)
    assert await people.users.set_active(alice.pk, active=False)
    assert await people.users.set_active(alice.pk, active=True)
    assert not await people.users.set_active(999, active=True)
    assert not await people.logins.look_up("login-1", alice.pk, 0)
    assert [(event[1], event[2]) for event in await told(people)] == [("created", 0), ("logged_in", 0), ("disabled", 1), ("enabled", 1)]
    assert [token.is_active for token in await people.said(TokenChanged)] == [True, False, True]


async def test_deleting_revokes_everything_and_the_number_is_never_given_again(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    await create_token(people.database, people.clock, alice.pk, "ci", token="t0ken")
    await people.guess(alice.pk, "wrong")
    assert await people.users.delete(alice.pk)
    assert not await people.users.delete(alice.pk)
    assert await people.revoked() == [digest_of("t0ken").hex()]
    assert [(revoked.what, revoked.epoch) for revoked in await people.said(LoginRevoked)] == [("user", 1)]
    assert (await told(people))[-1] == (alice.pk, "deleted", 1)
    assert await people.find("alice") is None
    assert (await people.make()).pk > alice.pk


async def put(people: People, user: int, token: str, identifier: str = "ci") -> bool:
    async with people.database.transaction() as connection:
        return await put_token(connection, people.database.schema, people.clock.now_us(), user, identifier, token)


async def test_a_token_is_kept_as_a_hash_and_revoked(people: People) -> None:
    alice = await people.make()
    made = await create_token(people.database, people.clock, alice.pk, "ci", expires_us=5)
    assert made is not None
    assert len(made) == 60
    said = await people.said(TokenChanged)
    assert [(token.hash, token.user, token.username, token.is_superuser, token.expires_us) for token in said] == [
        (digest_of(made).hex(), alice.pk, "alice", False, 5)
    ]
    assert await revoke_token(people.database, people.clock, "ci")
    assert not await revoke_token(people.database, people.clock, "ci")
    assert await people.revoked() == [digest_of(made).hex()]
    assert await create_token(people.database, people.clock, 999, "ci") is None


async def test_a_token_never_takes_the_place_of_another_one(people: People) -> None:
    alice, bob = await people.make(), await people.make("bob")
    results = await asyncio.gather(
        *(create_token(people.database, people.clock, user, "ci") for user in (alice.pk, alice.pk, bob.pk)), return_exceptions=True
    )
    [made] = [result for result in results if isinstance(result, str)]
    refused = [str(result) for result in results if isinstance(result, UserRefused)]
    assert refused == 2 * ["identifier: Token with this identifier already exists."]
    assert [token.hash for token in await people.said(TokenChanged)] == [digest_of(made).hex()]
    assert await people.revoked() == []


@pytest.mark.parametrize("identifier", ["", "a b", "a/b", "\u00e4", "a\0", "a\n", "x" * 256])
async def test_an_identifier_that_is_none_is_refused(people: People, identifier: str) -> None:
    alice = await people.make()
    with pytest.raises(UserRefused, match="identifier"):
        await create_token(people.database, people.clock, alice.pk, identifier)
    assert not await revoke_token(people.database, people.clock, identifier)


async def test_a_token_of_the_settings_is_replaced_and_told_again_for_a_log_that_lost_it(people: People) -> None:
    alice = await people.make()
    for token in ("first", "mine", "mine"):
        assert await put(people, alice.pk, token)
    said = [digest_of(token).hex() for token in ("first", "first", "mine", "mine")]  # once that it is over
    assert [token.hash for token in await people.said(TokenChanged)] == said
    assert await people.revoked() == [digest_of("first").hex()]
    assert not await put(people, 999, "other")


async def test_processes_that_start_at_once_put_one_token_in_place(people: People) -> None:
    alice = await people.make()
    assert await asyncio.gather(*(put(people, alice.pk, "mine") for _ in range(5))) == 5 * [True]
    assert await people.revoked() == []


async def test_a_token_of_the_settings_is_neither_anybody_elses_nor_another_one(people: People) -> None:
    alice, bob = await people.make(), await people.make("bob")
    assert await put(people, alice.pk, "mine")
    with pytest.raises(UserRefused, match="identifier"):
        await put(people, bob.pk, "mine")
    with pytest.raises(UserRefused, match="token: Another token is the same"):
        await put(people, alice.pk, "mine", "settings")


async def test_the_first_administrator_is_made_once(people: People) -> None:
    async def ensure(**given: str) -> tuple[bool, str | None]:
        done = await ensure_admin(people.database, people.users, people.clock, **given)
        return done.created, done.password

    results = await asyncio.gather(*(ensure(token="t0ken", email="root@example.org") for _ in range(3)))
    passwords = [password for created, password in results if created]
    assert len(passwords) == 1
    admin = await people.users.named("akadmin")
    assert admin is not None
    assert (admin.facts.is_superuser, [group.name for group in admin.groups]) == (True, ["authentik Admins"])
    assert (await people.guess(admin.pk, passwords[0] or "", identifier="akadmin")).outcome == "ok"
    assert {(token.hash, token.is_superuser) for token in await people.said(TokenChanged)} == {(digest_of("t0ken").hex(), True)}
    assert await ensure(password="other") == (False, None)
    assert (await people.guess(admin.pk, passwords[0] or "", identifier="akadmin")).outcome == "ok"
    await people.users.delete(admin.pk, force=True)
    assert await ensure(token="t0ken") == (False, None)
    assert await people.users.named("akadmin") is None


async def test_a_given_password_of_the_first_administrator_is_not_told_again(people: People) -> None:
    done = await ensure_admin(people.database, people.users, people.clock, password="given-pw")
    assert (done.created, done.password) == (True, None)
    admin = await people.users.named("akadmin")
    assert admin is not None
    assert (await people.guess(admin.pk, "given-pw", identifier="akadmin")).outcome == "ok"


async def test_a_superuser_made_by_hand_does_not_take_the_first_ones_turn(people: People) -> None:
    root = await people.make("root", superuser=True)
    assert root.facts.is_superuser
    assert (await ensure_admin(people.database, people.users, people.clock, password="pw")).created


async def test_an_akadmin_made_by_hand_stays_as_it_is(people: People) -> None:
    await people.make("akadmin", "mine")
    done = await ensure_admin(people.database, people.users, people.clock, password="pw", token="t0ken")
    assert not done.created
    admin = await people.users.named("akadmin")
    assert admin is not None
    assert not admin.facts.is_superuser
    assert (await people.guess(admin.pk, "mine", identifier="akadmin")).outcome == "ok"


CSV = """\
username,email,name,password
ann,ann@example.org,"Ann, the First",ann-pw
bea,,,"pbkdf2_sha256$1$c2FsdA$Yg=="
cis,,,"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$dHMvB6QW1VS0fX8fUOBcN0Jc9B7DVSFWxYvbqyFNLuQ"
ANN,,again,x
d\u0430n,,Cyrillic,x
eve,not-an-address,,x

fay,,,
"""


async def test_users_come_from_a_table_and_who_cannot_be_made_is_reported(people: People) -> None:
    done = await import_users(people.database, people.users, people.clock, CSV.splitlines(keepends=True))
    assert done.created == 3
    assert [(line, text.split(":")[0]) for line, text in done.refused] == [(3, "password"), (5, "username"), (6, "username"), (7, "email")]
    ann = await people.find("ann")
    assert ann is not None
    assert ann.name == "Ann, the First"
    assert (await people.guess(ann.pk, "ann-pw", identifier="ann")).outcome == "ok"
    assert await people.find("bea") is None, "a digest of one byte is a damaged hash, no password"
    rows = await people.database.fetch("SELECT username, password FROM users WHERE username IN ('cis', 'fay') ORDER BY 1")
    assert rows[0]["password"].startswith("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$")
    assert rows[1]["password"] is None


@pytest.mark.parametrize("text", ["", "user,mail\n", "username,email,name,password\na,b\n", 'username,email,name,password\n"a"b,,,\n'])
async def test_what_is_no_such_table_imports_nothing(people: People, text: str) -> None:
    with pytest.raises(ImportRefused):
        await import_users(people.database, people.users, people.clock, text.splitlines(keepends=True))
    assert (await people.users.page(1, 10))[0] == 0
