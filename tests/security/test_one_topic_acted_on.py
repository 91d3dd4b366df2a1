"""Somebody may write one topic, whichever: the real part that acts on it acts on nothing of theirs, and goes on.

The three that once led in are among these (a `fail` verdict for a guard, a key in `executor.keys`, a token in `directory.tokens`);
generated for every topic: forged, moved, replayed old, unsigned, stripped, by another service and by a stranger.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.contracts.topics import TOPICS
from shared.contracts.writers import SERVICES, WRITERS, Service
from shared.kernel.clock import FixedClock, SystemClock
from shared.messaging.log import Message
from shared.messaging.proof import FRESH_US, HEADER, Proofs, SigningKey, mac_keys
from tests.fixtures_patience import PATIENT_S
from tests.security.acting import ALL, Acting
from tests.signing import KEYS, proofs, trusted

CLOCK = SystemClock()
STRANGER = Ed25519PrivateKey.generate()


@pytest.fixture(params=ALL, ids=lambda acting: acting.topic)
async def acting(request: pytest.FixtureRequest) -> AsyncIterator[Acting]:
    async with AsyncExitStack() as stack:
        made: Acting = request.param(stack)
        await made.start()
        yield made


def writer(topic: str) -> Service:
    return WRITERS[topic].services[0]


def signed(message: Message) -> Message:
    return proofs(writer(message.topic)).signed(message)


def by(message: Message, key: SigningKey, proof: str | None = None, secret: bytes = b"another secret, just as long as ours") -> Message:
    rule = WRITERS[message.topic]
    here = {message.topic: replace(rule, services=SERVICES, proof=proof or rule.proof)}  # type: ignore[arg-type]
    return Proofs(trusted(), CLOCK, key, mac_keys([secret]), here).signed(message)


def unsigned(message: Message) -> Message:
    return message


def moved(message: Message) -> Message:
    elsewhere = signed(replace(message, partition=message.partition + 1))
    return replace(elsewhere, partition=message.partition)


def of_another_topic(message: Message) -> Message:
    other = next(one for one in TOPICS if (one != message.topic and writer(one) == writer(message.topic)) or len(WRITERS[one].services) > 1)
    return replace(by(replace(message, topic=other), KEYS[writer(message.topic)]), topic=message.topic)


def of_another_key(message: Message) -> Message:
    elsewhere = signed(replace(message, key=b"another", headers=renamed(message, b"another")))
    return replace(elsewhere, key=message.key, headers=(*message.headers, elsewhere.headers[-1]))


def renamed(message: Message, subject: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, subject if name == "ce_subject" else value) for name, value in message.headers)


def replayed_old(message: Message) -> Message:
    long_ago = FixedClock(CLOCK.now_us() - FRESH_US - 1_000_000)
    return proofs(writer(message.topic), long_ago).signed(message)


def stripped(message: Message) -> Message:
    whole = signed(replace(message, headers=(*message.headers, ("ce_parentid", b"p"))))
    return replace(whole, headers=tuple(one for one in whole.headers if one[0] != "ce_parentid"))


def by_a_stranger(message: Message) -> Message:
    return by(message, SigningKey(writer(message.topic), STRANGER))


def by_a_stranger_as_a_signature(message: Message) -> Message:
    return by(message, SigningKey(writer(message.topic), STRANGER), "signature")


def by_another_service(message: Message) -> Message:
    others = set(SERVICES) - set(WRITERS[message.topic].services)
    return by(message, KEYS[min(others)] if others else SigningKey("policy", STRANGER), "signature")


def with_a_proof_of_nothing(message: Message) -> Message:
    return replace(message, headers=(*message.headers, (HEADER, b"\1" + bytes(40)), (HEADER, b"")))


ATTACKS: tuple[Callable[[Message], Message], ...] = (
    unsigned, moved, of_another_topic, of_another_key, replayed_old, stripped, by_a_stranger, by_a_stranger_as_a_signature,
    by_another_service, with_a_proof_of_nothing,
)  # fmt: skip


def test_every_topic_is_attacked() -> None:
    assert {one.topic for one in ALL} == set(TOPICS)


async def test_nothing_forged_is_acted_on_and_the_service_goes_on(acting: Acting) -> None:
    for n, attack in enumerate(ATTACKS, 1):
        await acting.bare.append(attack(acting.said(n)))
    await acting.bare.append(signed(acting.said(0)))
    await until(acting, {0})
    assert await acting.acted_on() == {0}, [attack.__name__ for attack in ATTACKS]


async def until(acting: Acting, things: set[int]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not things <= await acting.acted_on():  # noqa: ASYNC110 -- the parts tell nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("acting", [one for one in ALL if "compact" in TOPICS[one.topic].cleanup], ids=lambda one: one.topic, indirect=True)
async def test_a_forged_tombstone_takes_nothing_away(acting: Acting) -> None:
    await acting.bare.append(signed(acting.said(0)))
    await until(acting, {0})
    real = acting.said(0)
    for headers in ((), real.headers, signed(real).headers):
        await acting.bare.append(replace(real, value=None, headers=headers))
    await acting.bare.append(signed(acting.said(1)))
    await until(acting, {1})
    assert await acting.acted_on() == {0, 1}
