"""Users administered from outside the service: by a person at a terminal, who waits longer than a visitor."""

import asyncio
import logging
import re
from pathlib import Path

import asyncpg
import pytest

from services.executor.administration import Administration, NewUser, administration
from services.executor.directory.directory import LIMITS
from services.executor.directory.naming import UserRefused
from services.executor.directory.tokens import digest_of
from services.executor.directory.unlocking import Unlocking
from services.executor.settings import Settings
from shared.contracts.directory import LoginRevoked, TokenChanged, UserChanged
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.postgres.pool import TIMEOUT
from shared.postgres.relay import Relay
from sluice.embedded_postgres.server import EmbeddedPostgres
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture
def users(people: People) -> Administration:
    return Administration(people.database, people.users, people.clock, Unlocking(people.database, people.clock, LIMITS))


async def test_a_change_waits_for_a_database_that_takes_longer_than_a_visitor_would_wait(tmp_path: Path, limits_as_shipped: None) -> None:
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    dsn = server.dsn_for("executor")
    try:
        async with administration(dsn, Settings.model_validate({})) as users:
            first = await users.create(NewUser("alice", password="alice-pw"))
            somebody = await asyncpg.connect(dsn)
            await somebody.execute("BEGIN; LOCK TABLE executor.users IN ACCESS EXCLUSIVE MODE")
            making = asyncio.create_task(users.create(NewUser("bob", password="bob-pw")))
            await asyncio.sleep(2 * TIMEOUT)
            assert not making.done()
            await somebody.close()
            assert await making > first
    finally:
        await server.stop()


async def test_who_was_disabled_is_enabled_again_and_nothing_ends_by_it(people: People, users: Administration) -> None:
    alice = await people.make()
    await users.disable("alice")
    await users.enable("ALICE")
    found = await people.users.get(alice.pk)
    assert found is not None
    assert await people.log_in(found.facts) == ""
    before = await people.said(LoginRevoked)
    await users.enable("alice")
    assert await people.logins.look_up("login-1", alice.pk, found.facts.epoch)
    assert await people.said(LoginRevoked) == before
    assert [event.what for event in await people.said(UserChanged)] == ["created", "disabled", "enabled", "logged_in"]
    with pytest.raises(UserRefused, match="there is no user bob"):
        await users.enable("bob")


async def test_a_token_is_made_by_the_users_name_and_revoked_by_its_own(people: People, users: Administration) -> None:
    root = await people.make("root", superuser=True)
    made = await users.create_token("ROOT", identifier="ci", days=30)
    [told] = await people.said(TokenChanged)
    assert (made.identifier, digest_of(made.token).hex()) == ("ci", told.hash)
    assert (told.user, told.is_superuser, told.expires_us) == (root.pk, True, people.clock.now_us() + 30 * DAY_US)
    await users.revoke_token("ci")
    assert await people.revoked() == [told.hash]
    with pytest.raises(UserRefused, match="identifier: there is no token ci"):
        await users.revoke_token("ci")


async def test_a_token_without_an_identifier_gets_one_of_its_own_and_stays(people: People, users: Administration) -> None:
    await people.make("al+ice@example.org")
    first, second = [await users.create_token("al+ice@example.org") for _ in range(2)]
    assert re.fullmatch(r"al-ice-example-org-[0-9a-f]{8}", first.identifier)
    assert first.identifier != second.identifier
    assert [token.expires_us for token in await people.said(TokenChanged)] == [None, None]


async def test_a_token_for_nobody_or_under_a_name_that_is_taken_is_refused(people: People, users: Administration) -> None:
    await people.make()
    await users.create_token("alice", identifier="ci")
    with pytest.raises(UserRefused, match="identifier: Token with this identifier already exists"):
        await users.create_token("alice", identifier="ci")
    with pytest.raises(UserRefused, match="username: there is no user bob"):
        await users.create_token("bob")
    assert len(await people.said(TokenChanged)) == 1


async def test_a_token_is_in_no_log_line_and_in_no_table(people: People, users: Administration, caplog: pytest.LogCaptureFixture) -> None:
    await people.make()
    with caplog.at_level(logging.DEBUG):
        made = await users.create_token("alice", identifier="ci")
        stored = [*await people.database.fetch("SELECT * FROM tokens"), *await people.database.fetch("SELECT * FROM outbox")]
        await users.revoke_token("ci")
    assert made.token not in caplog.text + repr(made)
    assert digest_of(made.token) in [value for row in stored for value in row.values()]
    assert made.token not in repr([tuple(row.values()) for row in stored])


@pytest.mark.parametrize("done", ["disable", "set_password", "create_token", "revoke_token"])
async def test_a_command_knows_whether_running_services_were_told(people: People, users: Administration, done: str) -> None:
    await people.make()
    await users.create_token("alice", identifier="ci")
    given = {"disable": ("alice",), "set_password": ("alice", "another-pw"), "create_token": ("alice",), "revoke_token": ("ci",)}
    await getattr(users, done)(*given[done])
    assert not await users.told(1e9), "no relay was heard of, so nobody is waited for"
    log = await EmbeddedLog.open(TOPICS, None)
    relay = Relay(people.database, log, SystemClock())
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(PATIENT_S):
        while not await users.told():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await relay.stop()
    await running
    await log.close()
