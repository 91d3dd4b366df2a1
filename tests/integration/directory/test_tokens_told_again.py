"""What stands in `directory.tokens` is what PostgreSQL says, whoever writes over it and with whichever key it was signed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.executor.directory.standing_tokens import StandingTokens
from services.executor.directory.tokens import create_token, digest_of, revoke_token
from services.executor.directory.upkeep import TOKENS_KEPT_US, Upkeep
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from shared.contracts.directory import TOKENS_CODEC, TokenChanged
from shared.contracts.topics import TOKENS, TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Log, Message, Record, TopicPartition
from shared.messaging.proof import Proofs, SigningKey
from shared.messaging.proved import ProvedLog
from shared.postgres.relay import Relay
from shared.postgres.repeating import Repeating
from tests.fixtures_patience import PATIENT_S
from tests.integration.directory.conftest import People
from tests.signing import KEYS, as_service, trusted

CLOCK = SystemClock()
SECOND = SigningKey("executor", Ed25519PrivateKey.generate())


@pytest.fixture
async def bare() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(TOPICS)
    yield log
    await log.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.postgres.repeating.PAUSE_S", 0.0)


@asynccontextmanager
async def directory(people: People, log: Log) -> AsyncIterator[None]:
    """What the worker does for the topic."""
    letters = DeadLetters(log, "executor", CLOCK)
    standing = StandingTokens(people.database, people.clock)
    again = Repeating(
        people.database, log, TOKENS, standing.look, standing.say_again, letters, CLOCK, is_ahead=standing.is_ahead
    )  # fmt: skip
    tasks = [asyncio.create_task(Relay(people.database, log, CLOCK).run()), asyncio.create_task(again.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def standing(bare: EmbeddedLog) -> list[Record]:
    """What compaction would leave: the last record of each key."""
    place = TopicPartition(TOKENS, 0)
    last = {one.key: one async for batch in bare.read(place, 0, 10_000) for one in batch}
    return list(last.values())


async def until(holds: Callable[[list[Record]], bool], bare: EmbeddedLog) -> list[Record]:
    async with asyncio.timeout(PATIENT_S):
        while not holds(found := await standing(bare)):  # noqa: ASYNC110 -- the log tells nobody
            await asyncio.sleep(0.01)
    return found


def active(record: Record) -> bool | None:
    if record.value is None or not record.headers:
        return None
    body = TOKENS_CODEC.decode(record).body
    return body.is_active if isinstance(body, TokenChanged) else None


async def test_a_revoked_token_is_a_record_until_its_expiry_and_a_tombstone_then(people: People) -> None:
    alice = await people.make()
    ends = people.clock.now_us() + 1_000_000
    for name, expires_us in (("brief", ends), ("endless", None)):
        await create_token(people.database, people.clock, alice.pk, name, token=name, expires_us=expires_us)
        await revoke_token(people.database, people.clock, name)
    upkeep = Upkeep(people.database, people.clock, GuessLimits(), LoginLife())
    await upkeep.once()
    assert await people.revoked() == [digest_of("brief").hex(), digest_of("endless").hex()]
    assert await people.tombstones() == []
    people.clock.advance((1_000_000 + TOKENS_KEPT_US) / 1e6 + 1)
    await upkeep.once()
    people.clock.advance(86_400 * 365 * 10)
    await upkeep.once()
    assert await people.tombstones() == [digest_of("brief").hex()]


async def test_every_change_has_a_higher_version_also_after_a_revocation(people: People) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "ci", token="t")
    await people.users.set_active(alice.pk, active=False)
    await people.users.set_active(alice.pk, active=True)
    await revoke_token(people.database, people.clock, "ci")
    await create_token(people.database, people.clock, alice.pk, "ci", token="t")
    told = [(one.version, one.is_active) for one in await people.said(TokenChanged)]
    assert [is_active for _, is_active in sorted(told)] == [True, False, True, False, True]
    assert len({version for version, _ in told}) == 5


async def test_a_user_is_never_changed_past_the_revocation_of_a_token(people: People) -> None:
    alice = await people.make()
    for n in range(10):
        await create_token(people.database, people.clock, alice.pk, "ci", token=f"t{n}")
        await asyncio.gather(
            revoke_token(people.database, people.clock, "ci"),
            *(people.users.set_active(alice.pk, active=on) for on in (False, True)),
        )
        told = [one for one in await people.said(TokenChanged) if one.hash == digest_of(f"t{n}").hex()]
        assert not max(told, key=lambda one: one.version).is_active


async def test_a_key_that_somebody_wrote_over_is_said_again(people: People, bare: EmbeddedLog) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "good", token="good")
    await create_token(people.database, people.clock, alice.pk, "bad", token="bad")
    log = as_service(bare, "executor")
    async with directory(people, log):
        true = await until(lambda found: [active(one) for one in found] == [True, True], bare)
        await revoke_token(people.database, people.clock, "bad")
        await until(lambda found: [active(one) for one in found] == [True, False], bare)
        copied = true[1]
        for key in (true[0].key, copied.key):
            await bare.append(Message(TOKENS, 0, key, b"junk"))
            await bare.append(Message(TOKENS, 0, key, None))
        await bare.append(Message(TOKENS, 0, copied.key, copied.value, copied.headers))  # its own writer's, minutes old at most
        await until(lambda found: [active(one) for one in found] == [True, False], bare)


async def test_what_was_written_over_while_nobody_watched_is_said_again_at_the_next_start(people: People, bare: EmbeddedLog) -> None:
    alice = await people.make()
    await create_token(people.database, people.clock, alice.pk, "good", token="good")
    log = as_service(bare, "executor")
    async with directory(people, log):
        (true,) = await until(lambda found: len(found) == 1, bare)
    await bare.append(Message(TOKENS, 0, true.key, b"junk"))
    async with directory(people, log):
        await until(lambda found: found[0].value != b"junk", bare)


async def test_with_a_new_signing_key_everything_current_is_said_again(people: People, bare: EmbeddedLog) -> None:
    alice = await people.make()
    for name in ("good", "bad"):
        await create_token(people.database, people.clock, alice.pk, name, token=name)
    await revoke_token(people.database, people.clock, "bad")
    async with directory(people, ProvedLog(bare, Proofs(trusted(), CLOCK, KEYS["executor"]))):
        await until(lambda found: [active(one) for one in found] == [True, False], bare)
    keys = trusted([SECOND])  # the one of before is believed no more
    reader = Proofs(keys, CLOCK)
    async with directory(people, ProvedLog(bare, Proofs(keys, CLOCK, SECOND))):
        await until(lambda found: all(_proves(reader, one) for one in found), bare)
    assert [active(one) for one in await standing(bare)] == [True, False]


def _proves(reader: Proofs, record: Record) -> bool:
    try:
        reader.check(record)
    except Exception:  # noqa: BLE001 - whatever it does not like
        return False
    return True
