"""Somebody writes a true record once more, after the one that made it untrue: no reader goes back, restarts included."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.executor.edge.sealing_keys import SealingKeys
from shared.contracts import topics
from shared.contracts.codec import encode
from shared.contracts.definitions import BodyPublished, BrandBody, ObjectRemoved, PointerMoved, body_key, content_hash, pointer_key
from shared.contracts.directory import KEY_OPEN_US, KEY_SEAL_US, KEY_SKEW_US, KeyPublished, TokenChanged
from shared.contracts.envelope import Envelope
from shared.contracts.model import Contract
from shared.kernel.clock import Clock, FixedClock, SystemClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.definitions_projection import Definitions
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message
from shared.messaging.projection import Projection
from shared.web.token_projection import TokenProjection, _digest
from tests.fixtures_patience import PATIENT_S
from tests.signing import as_service, proofs

CLOCK = SystemClock()
TOKEN = "the token"
MINUTE_US = 60_000_000


@pytest.fixture
async def bare() -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(topics.TOPICS)
    yield log
    await log.close()


def message(topic: str, body: Contract, subject: str) -> Message:
    headers, value = encode(Envelope("i", body.wire_type, body.wire_version, "test", subject, CLOCK.now_us()), body)
    return Message(topic, 0, subject.encode(), value, headers)


def letters(bare: EmbeddedLog) -> DeadLetters:
    return DeadLetters(as_service(bare, "executor"), "executor", CLOCK)


def token(version: int, *, active: bool) -> Message:
    body = TokenChanged(hash=_digest(TOKEN).decode(), user=1, username="root", is_superuser=True, is_active=active, version=version)
    return proofs("executor").signed(message(topics.TOKENS, body, body.hash))


async def owner(bare: EmbeddedLog) -> object:
    """What a reader that starts now believes of the token."""
    tokens = TokenProjection(as_service(bare, "catalog"), letters(bare), CLOCK)
    await tokens.start()
    async with asyncio.timeout(PATIENT_S):
        while not tokens.ready:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)
    found = tokens.owner(TOKEN)
    await tokens.stop()
    return found


async def test_a_token_that_was_revoked_stays_so_whatever_is_copied_after_it(bare: EmbeddedLog) -> None:
    active, revoked = token(1, active=True), token(2, active=False)
    await bare.append(active)
    assert await owner(bare) is not None
    await bare.append(revoked)
    assert await owner(bare) is None
    for copied in (active, token(1, active=True), token(0, active=True)):
        await bare.append(copied)
    assert await owner(bare) is None
    await bare.append(token(3, active=True))
    assert await owner(bare) is not None


async def test_what_compaction_left_of_a_revoked_token_is_not_believed_after_five_minutes(bare: EmbeddedLog) -> None:
    old = FixedClock(CLOCK.now_us() - 6 * MINUTE_US)
    body = TokenChanged(hash=_digest(TOKEN).decode(), user=1, username="root", is_superuser=True, is_active=True, version=1)
    await bare.append(proofs("executor", old).signed(message(topics.TOKENS, body, body.hash)))  # the only one that is left
    assert await owner(bare) is None


def pointer(version: int, domain: str) -> tuple[Message, Message]:
    content = BrandBody(pk="b", domain=domain).model_dump()
    name = content_hash("brand", content)
    moved = PointerMoved(kind="brand", pk="b", name=domain, version=version, body=name, needs=(name,))
    body = message(topics.DEFINITIONS, BodyPublished(hash=name, kind="brand", content=content), body_key(name))
    return body, proofs("catalog").signed(message(topics.DEFINITIONS, moved, pointer_key("brand", "b")))


async def brands(bare: EmbeddedLog) -> list[str]:
    held = Definitions()
    following = Projection(as_service(bare, "planner"), topics.DEFINITIONS, held.apply, letters(bare), CLOCK)
    await following.start()
    await asyncio.wait_for(following.ready.wait(), PATIENT_S)
    await following.stop()
    return [brand.domain for brand in held.brands()]


async def test_a_definition_that_was_changed_or_removed_does_not_come_back(bare: EmbeddedLog) -> None:
    old, new = pointer(1, "weak.example"), pointer(2, "strong.example")
    for one in (*old, *new, old[1]):
        await bare.append(one)
    assert await brands(bare) == ["strong.example"]
    gone = ObjectRemoved(kind="brand", pk="b", version=3)
    await bare.append(proofs("catalog").signed(message(topics.DEFINITIONS, gone, pointer_key("brand", "b"))))
    for one in (new[1], old[1]):
        await bare.append(one)
    assert await brands(bare) == []


def key(epoch: str, made_us: int, seal_us: int = KEY_SEAL_US, open_us: int = KEY_OPEN_US) -> Message:
    body = KeyPublished(epoch=epoch, public=b"p" * 32, made_us=made_us, seal_until_us=made_us + seal_us, open_until_us=made_us + open_us)
    return proofs("executor").signed(message(topics.KEYS, body, epoch))


async def sealed_to(bare: EmbeddedLog, clock: Clock = CLOCK) -> str | None:
    keys = SealingKeys(as_service(bare, "executor"), letters(bare), clock)
    await keys.start()
    await asyncio.wait_for(keys._projection.ready.wait(), PATIENT_S)
    await keys.stop()
    current = keys.current()
    return current.epoch if current else None


@pytest.mark.parametrize("ahead_s", [120, 3600, 86_400 * 365, 10**9])
async def test_an_epoch_key_from_the_future_does_not_win_not_even_an_executors_own(bare: EmbeddedLog, ahead_s: int) -> None:
    now = CLOCK.now_us()
    await bare.append(key("true", now))
    await bare.append(key("ahead", now + ahead_s * 1_000_000))
    assert await sealed_to(bare) == "true"
    # nor later, when its time has come
    assert await sealed_to(bare, FixedClock(now + ahead_s * 1_000_000)) in (None, "true")


@pytest.mark.parametrize(
    ("seal_us", "open_us"),
    [(KEY_SEAL_US + 1, KEY_OPEN_US), (2**59, 2**59), (KEY_SEAL_US, 2**59), (0, KEY_OPEN_US), (KEY_SEAL_US, KEY_SEAL_US - 1)],
)
async def test_an_epoch_key_that_would_stay_is_not_taken(bare: EmbeddedLog, seal_us: int, open_us: int) -> None:
    now = CLOCK.now_us()
    await bare.append(key("true", now - MINUTE_US))
    await bare.append(key("long", now, seal_us, open_us))
    assert await sealed_to(bare) == "true"


async def test_a_replayed_epoch_key_is_over_when_it_is_and_a_little_skew_is_borne(bare: EmbeddedLog) -> None:
    now = CLOCK.now_us()
    await bare.append(key("old", now - KEY_SEAL_US - 1))
    assert await sealed_to(bare) is None
    await bare.append(key("ahead", now + KEY_SKEW_US // 2))
    assert await sealed_to(bare) == "ahead"
    await bare.append(replace(key("old", now - KEY_SEAL_US - 1)))
    assert await sealed_to(bare) == "ahead"
