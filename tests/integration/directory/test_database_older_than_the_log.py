"""PostgreSQL was restored from a backup, or made anew, and the topics are those of before: what it says counts, and what it does not know
of is over. Readers of tokens never go back to a lower version, and its versions begin low again."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from services.executor.directory.events import What, login_revoked, token_changed, user_revoked
from services.executor.directory.standing_ends import end_what_the_log_ended
from services.executor.directory.tokens import create_token, digest_of, revoke_token
from services.executor.edge.revocations import RevocationTail
from shared.contracts.directory import TokenChanged
from shared.contracts.people import LoginClaims, UserFacts
from shared.contracts.topics import TOPICS
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.web.token_projection import TokenProjection
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People
from tests.integration.directory.test_tokens_told_again import CLOCK, directory
from tests.signing import as_service

LATER = 5000
"""A version that the database of before had come to."""


@pytest.fixture
async def bare() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


@pytest.fixture
async def tokens(bare: EmbeddedLog) -> AsyncIterator[TokenProjection]:
    """What an edge, or the catalog, believes."""
    log = as_service(bare, "catalog")
    reader = TokenProjection(log, DeadLetters(log, "catalog", CLOCK), CLOCK)
    await reader.start()
    yield reader
    await reader.stop()


async def stood(bare: EmbeddedLog, token: str, user: int, version: int = LATER, *, active: bool = True) -> None:
    """The log has this of a token, from before."""
    said = TokenChanged(
        hash=digest_of(token).hex(), user=user, username="root", is_superuser=True, is_active=active, expires_us=None, version=version
    )  # fmt: skip
    await as_service(bare, "executor").append(token_changed(said, CLOCK.now_us()))


async def came(people: People, user: UserFacts, login: str) -> LoginClaims:
    """Somebody logs in; what their cookie says."""
    assert await people.log_in(user, login) == ""
    return people.order(user, login).login


async def is_somebody(people: People, bare: EmbeddedLog, claims: LoginClaims) -> bool:
    """Whether an edge that starts now, and reads all that the log says, takes this login."""
    log = as_service(bare, "executor")
    tail = RevocationTail(log, DeadLetters(log, "executor", CLOCK), CLOCK)
    await tail.start()
    await until(lambda: tail.ready)
    try:
        return not tail.is_revoked(claims) and await people.logins.look_up(claims.login, claims.user, claims.epoch)
    finally:
        await tail.stop()


@pytest.mark.parametrize("what", ["password_set", "disabled", "deleted"])
async def test_who_logs_in_anew_is_somebody_though_all_logins_were_ended_before(people: People, bare: EmbeddedLog, what: What) -> None:
    alice, log = await people.make(), as_service(bare, "executor")
    for epoch in (2, LATER, 3):
        await log.append(user_revoked(alice.pk, epoch, CLOCK.now_us(), what))
    await log.append(user_revoked(4711, 2, CLOCK.now_us(), what))
    before = await came(people, alice.facts, "before")
    assert not await is_somebody(people, bare, before)
    await end_what_the_log_ended(people.database, log)
    found = await people.users.get(alice.pk)
    assert found is not None
    assert await is_somebody(people, bare, await came(people, found.facts, "anew"))
    assert not await is_somebody(people, bare, before)


async def test_who_is_made_anew_has_a_number_that_nobody_had(people: People, bare: EmbeddedLog) -> None:
    log = as_service(bare, "executor")
    for user in (1, 2, 4711, 3, 2**31 - 1):  # the last one would leave no number
        await log.append(user_revoked(user, 4, CLOCK.now_us(), "password_set"))
    await end_what_the_log_ended(people.database, log)
    alice = await people.make()
    assert alice.pk == 4712
    assert await is_somebody(people, bare, await came(people, alice.facts, "first"))


async def test_a_login_that_was_ended_since_stays_over_when_the_log_has_forgotten_it(people: People, bare: EmbeddedLog) -> None:
    alice, log = await people.make(), as_service(bare, "executor")
    ended, stays = [await came(people, alice.facts, name) for name in ("ended", "stays")]
    for n in range(1100):
        await log.append(login_revoked(f"another {n}", alice.pk, CLOCK.now_us(), "logout"))
    await log.append(login_revoked("ended", alice.pk, CLOCK.now_us(), "logout"))
    await end_what_the_log_ended(people.database, log)
    assert not await people.logins.look_up("ended", ended.user, ended.epoch)
    assert await is_somebody(people, bare, stays)


async def test_what_somebody_without_the_key_says_ends_nothing(people: People, bare: EmbeddedLog) -> None:
    alice, log = await people.make(), as_service(bare, "executor")
    stays = await came(people, alice.facts, "stays")
    for message in (login_revoked("stays", alice.pk, 1, "logout"), user_revoked(alice.pk, 7, 1, "disabled")):
        await bare.append(message)
    await end_what_the_log_ended(people.database, log)
    assert await is_somebody(people, bare, stays)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not holds():  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.01)


async def test_a_token_that_it_does_not_know_is_over(people: People, bare: EmbeddedLog, tokens: TokenProjection) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "mine", token="mine")
    for token, user in (("of nobody", 4711), ("of alice", alice.pk)):
        await stood(bare, token, user)
        await until(lambda token=token: tokens.ready and tokens.user_of(token) is not None)  # type: ignore[misc]
    async with directory(people, as_service(bare, "executor")):
        await until(lambda: tokens.user_of("mine") == alice.pk)
        await until(lambda: tokens.user_of("of nobody") is None and tokens.user_of("of alice") is None)


async def by_disabling(people: People, user: int) -> None:
    await people.users.set_active(user, active=False)


async def by_deleting(people: People, user: int) -> None:
    await people.users.delete(user)


async def by_revoking(people: People, user: int) -> None:
    await revoke_token(people.database, people.clock, "ci")


@pytest.mark.parametrize("ends", [by_disabling, by_deleting, by_revoking])
async def test_a_token_that_it_ends_is_over(
    people: People, bare: EmbeddedLog, tokens: TokenProjection, ends: Callable[[People, int], object]
) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "ci", token="ci")
    await stood(bare, "ci", alice.pk)
    await until(lambda: tokens.ready and tokens.user_of("ci") is not None)
    async with directory(people, as_service(bare, "executor")):
        await asyncio.sleep(0.2)
        await ends(people, alice.pk)  # type: ignore[misc]
        await until(lambda: tokens.user_of("ci") is None)


async def test_a_token_that_was_revoked_after_the_backup_is_good_as_it_says(
    people: People, bare: EmbeddedLog, tokens: TokenProjection
) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "ci", token="ci")
    await stood(bare, "ci", alice.pk, active=False)
    async with directory(people, as_service(bare, "executor")):
        await until(lambda: tokens.ready and tokens.user_of("ci") == alice.pk)


async def test_nothing_is_said_again_where_the_log_is_as_it_should_be(people: People, bare: EmbeddedLog, tokens: TokenProjection) -> None:
    alice = await people.make()
    log = as_service(bare, "executor")
    for name in ("good", "bad"):
        await create_token(people.database, people.clock, alice.pk, name, token=name)
    await revoke_token(people.database, people.clock, "bad")
    async with directory(people, log):
        await until(lambda: tokens.ready and tokens.user_of("good") is not None)
    before = len(await people.said(TokenChanged))
    async with directory(people, log):
        await asyncio.sleep(0.5)
        assert len(await people.said(TokenChanged)) == before
