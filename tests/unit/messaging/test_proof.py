"""Proofs: what signs, which keys hold when, and that the signer keeps to the table of writers."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.contracts.codec import prove
from shared.contracts.errors import BadProof
from shared.contracts.topics import STATE, STEPS, TOKENS, TOPICS, VERDICTS
from shared.contracts.writers import SERVICES, WRITERS
from shared.kernel.clock import FixedClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record, Refused, TopicPartition
from shared.messaging.proof import Proofs, SigningKey, mac_keys
from shared.messaging.proved import ProvedLog
from shared.messaging.trusted import TrustedKey, TrustedKeys
from tests.signing import KEYS, SECRET, proofs, trusted

CLOCK = FixedClock()
NOW_S = CLOCK.now_us() // 1_000_000
MESSAGE = Message(VERDICTS, 3, b"k", b"v", (("ce_id", b"1"),))


def appended(message: Message, reader: Proofs, at_s: int = NOW_S) -> Record:
    return Record(message.topic, message.partition, 0, at_s * 1000, message.key, message.value, message.headers, reader)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_signs_for_its_own_topics_only(service: str, topic: str) -> None:
    signer = proofs(service, CLOCK)  # type: ignore[arg-type]
    message = replace(MESSAGE, topic=topic, partition=0)
    if service in WRITERS[topic].services:
        prove(appended(signer.signed(message), Proofs(trusted(), CLOCK, macs=mac_keys([SECRET]))))
    else:
        with pytest.raises(Refused, match=f"{service} does not write {topic}"):
            signer.signed(message)


def test_a_reader_and_an_unknown_topic_sign_nothing() -> None:
    with pytest.raises(Refused):
        Proofs(trusted(), CLOCK).signed(MESSAGE)
    with pytest.raises(Refused):
        proofs("policy", CLOCK).signed(replace(MESSAGE, topic="others"))
    with pytest.raises(BadProof):
        prove(appended(replace(MESSAGE, topic="others"), proofs("policy", CLOCK)))


def test_what_is_signed_again_has_one_proof() -> None:
    signer = proofs("policy", CLOCK)
    again = signer.signed(signer.signed(MESSAGE))
    assert [name for name, _ in again.headers] == ["ce_id", "sluice-proof"]
    prove(appended(again, proofs("executor", CLOCK)))


@pytest.mark.parametrize(("one", "other"), [(None, b""), (b"", None)])
def test_nothing_and_empty_are_told_apart(one: bytes | None, other: bytes | None) -> None:
    for field in ("key", "value"):
        signed = proofs("executor", CLOCK).signed(replace(MESSAGE, topic=STATE, **{field: one}))  # type: ignore[arg-type]
        with pytest.raises(BadProof):
            prove(appended(replace(signed, **{field: other}), proofs("executor", CLOCK)))  # type: ignore[arg-type]


def test_a_byte_does_not_move_from_one_part_to_the_next() -> None:
    signed = proofs("policy", CLOCK).signed(replace(MESSAGE, key=b"ab", value=b"c", headers=(("ce_id", b"1"), ("ce_type", b"2"))))
    moved = [replace(signed, key=b"a", value=b"bc"), replace(signed, headers=(("ce_id", b"12"), ("ce_type", b""), signed.headers[-1]))]
    for one in moved:
        with pytest.raises(BadProof):
            prove(appended(one, proofs("executor", CLOCK)))


def test_macs_hold_under_every_secret_of_the_ring_and_are_made_under_the_first() -> None:
    old, new = mac_keys([b"o" * 32]), mac_keys([b"n" * 32, b"o" * 32])
    message = replace(MESSAGE, topic=STEPS)
    before = Proofs(trusted(), CLOCK, KEYS["executor"], old)
    after = Proofs(trusted(), CLOCK, KEYS["executor"], new)
    prove(appended(before.signed(message), after))
    with pytest.raises(BadProof):
        prove(appended(after.signed(message), before))
    with pytest.raises(BadProof):
        prove(appended(before.signed(message), proofs("policy", CLOCK)))


@pytest.mark.parametrize(
    ("start", "end", "holds"),
    [
        (None, None, True), (NOW_S, None, True), (None, NOW_S + 1, True), (NOW_S, NOW_S + 1, True),
        (NOW_S + 1, None, False), (None, NOW_S, False), (NOW_S - 9, NOW_S - 8, False),
    ],
)  # fmt: skip
def test_a_key_holds_by_when_the_broker_appended(start: int | None, end: int | None, holds: bool) -> None:
    key = KEYS["policy"]
    reader = Proofs(TrustedKeys([TrustedKey("policy", key.private.public_key(), start, end)]), CLOCK)
    record = appended(proofs("policy", CLOCK).signed(MESSAGE), reader)
    if holds:
        prove(record)
    else:
        with pytest.raises(BadProof, match="does not hold"):
            prove(record)


def test_two_keys_of_a_service_hold_beside_each_other() -> None:
    second = SigningKey("policy", Ed25519PrivateKey.generate())
    keys = trusted((*KEYS.values(), second))
    for key in (KEYS["policy"], second):
        prove(appended(Proofs(keys, CLOCK, key).signed(MESSAGE), Proofs(keys, CLOCK)))


async def test_a_proved_log_signs_and_gives_out_records_that_can_be_judged() -> None:
    bare = await EmbeddedLog.open(TOPICS)
    log = ProvedLog(bare, proofs("executor"))
    place = TopicPartition(TOKENS, 0)
    await log.append(Message(*place, b"k", b"v"))
    await bare.append(Message(*place, b"k", b"forged"))
    read = [record async for batch in log.read(place, 0, 2) for record in batch]
    tail = log.tail(TOKENS, {0: 0})
    async for tailed in tail:
        assert list(tailed) == read
        break
    assert tail.fetched_age() == 0.0
    await tail.close()
    prove(read[0])
    with pytest.raises(BadProof):
        prove(read[1])
    with pytest.raises(Refused):
        await log.append(Message(VERDICTS, 0, b"k", b"v"))
    await log.close()


def test_who_goes_by_the_documentation_can_verify() -> None:
    # docs/security.md, "Verifying a record", without a line of ours
    message = Message(VERDICTS, 3, b"k", b"v", (("ce_id", b"1"), ("baggage", b"not ours"), ("ce_type", b"t")))
    signed = proofs("policy", CLOCK).signed(message)
    ((_, proof),) = [one for one in signed.headers if one[0] == "sluice-proof"]
    kind, at, key, signature = proof[:1], proof[1:9], proof[9:17], proof[17:]
    assert (kind, int.from_bytes(at), len(proof)) == (b"\2", CLOCK.now_us(), 81)

    parts = [key, b"policy.verdicts", b"k", b"v", b"ce_id", b"1", b"ce_type", b"t"]
    covered = kind + at + (3).to_bytes(4) + len(parts).to_bytes(4) + b"".join([len(part).to_bytes(4) for part in parts] + parts)
    text = b"sluice record v2"
    public = KEYS["policy"].private.public_key()
    public.verify(signature, text + hashlib.blake2b(covered, digest_size=32, person=text).digest())
    x = base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()
    assert hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()[:8] == key
