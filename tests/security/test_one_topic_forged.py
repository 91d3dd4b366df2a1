"""Somebody may write one topic, whichever: no record of theirs is read, whatever they copy, move, strip or sign it with.

Generated over the table of writers, for every topic, every message in it, and every attack.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.contracts.codec import encode, prove
from shared.contracts.errors import BadProof, BadRecord
from shared.contracts.messages import MESSAGES, codec_of
from shared.contracts.model import Contract
from shared.contracts.topics import TOPICS
from shared.contracts.writers import SERVICES, WRITERS, Service
from shared.kernel.clock import FixedClock
from shared.messaging.log import Message, Record
from shared.messaging.proof import FRESH_US, HEADER, Proofs, SigningKey, mac_keys
from tests.contract.golden_files import envelope_of, example_of
from tests.signing import KEYS, SECRET, proofs, trusted

LIMIT = 1024 * 1024
CASES = [(topic, message) for topic, messages in MESSAGES.items() for message in messages]
PROVING = [(topic, message) for topic, message in CASES if not message.proves_itself]
ATTACKER = Ed25519PrivateKey.generate()


@dataclass
class Scene:
    """A record of a topic, as its writer appends it now, and a reader of it."""

    topic: str
    kind: type[Contract]

    def __post_init__(self) -> None:
        self.clock = FixedClock()
        self.writer: Service = WRITERS[self.topic].services[0]
        envelope = envelope_of(self.kind.wire_type, self.kind.wire_version)
        headers, value = encode(envelope, example_of(self.kind))
        self.message = Message(self.topic, 0, envelope.subject.encode(), value, headers)

    def signed(self, service: Service | None = None) -> Message:
        return proofs(service or self.writer, self.clock).signed(self.message)

    def appended(self, message: Message, late_us: int = 0) -> Record:
        at_ms = (self.clock.now_us() + late_us) // 1000
        reader = Proofs(trusted(), self.clock, macs=mac_keys([SECRET]))
        return Record(message.topic, message.partition, 7, at_ms, message.key, message.value, message.headers, reader)

    def read(self, record: Record) -> Contract:
        return codec_of(self.kind).decode(record, LIMIT).body

    def foreign(self, service: Service) -> Message:
        """Signed by a service that may not write here, with all that it has."""
        here = {self.topic: replace(WRITERS[self.topic], services=SERVICES, proof="signature")}
        return Proofs(trusted(), self.clock, KEYS[service], writers=here).signed(self.message)


@pytest.fixture(params=PROVING, ids=lambda case: case[1].wire_type)
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(*request.param)


def test_every_topic_has_writers_and_every_writer_a_reason() -> None:
    assert set(WRITERS) == set(TOPICS) == set(MESSAGES)
    for name, rule in WRITERS.items():
        told = {word.split()[0] for word in TOPICS[name].writer.split(", ")}
        assert told == ({"all"} if rule.services == SERVICES else set(rule.services)), name
        # who has no secret cannot tell whether a MAC holds
        assert rule.proof == "signature" or {*rule.services, *rule.readers} == {"executor"}, name


def test_its_writers_record_is_read(scene: Scene) -> None:
    for service in WRITERS[scene.topic].services:
        assert scene.read(scene.appended(scene.signed(service))) == example_of(scene.kind)


def unsigned(scene: Scene) -> Record:
    return scene.appended(scene.message)


def moved_to_another_partition(scene: Scene) -> Record:
    return replace(scene.appended(scene.signed()), partition=1)


def moved_to_another_key(scene: Scene) -> Record:
    key = scene.message.key
    assert key is not None
    other = b"0" + key[1:-1] + b"B"
    renamed = tuple((name, other if name == "ce_subject" else value) for name, value in scene.signed().headers)
    return scene.appended(replace(scene.signed(), key=other, headers=renamed))


def moved_to_another_key_alone(scene: Scene) -> Record:
    """What a compacted topic goes by is the key, whatever the headers say."""
    key = scene.message.key
    assert key is not None
    return scene.appended(replace(scene.signed(), key=key[:-1] + bytes([key[-1] ^ 1])))


def replayed_old(scene: Scene) -> Record:
    return scene.appended(scene.signed(), late_us=FRESH_US + 1_000_000)


def signed_ahead(scene: Scene) -> Record:
    return scene.appended(scene.signed(), late_us=-FRESH_US - 1_000_000)


def with_another_value(scene: Scene) -> Record:
    signed = scene.signed()
    assert signed.value is not None
    return scene.appended(replace(signed, value=signed.value[:-1] + bytes([signed.value[-1] ^ 1])))


def made_a_tombstone(scene: Scene) -> Record:
    return scene.appended(replace(scene.signed(), value=None))


def by_a_strangers_key(scene: Scene) -> Record:
    here = {scene.topic: replace(WRITERS[scene.topic], proof="signature")}
    return scene.appended(Proofs(trusted(), scene.clock, SigningKey(scene.writer, ATTACKER), writers=here).signed(scene.message))


def under_another_secret(scene: Scene) -> Record:
    here = {scene.topic: replace(WRITERS[scene.topic], proof="mac")}
    macs = mac_keys([b"another secret, just as long as ours"])
    return scene.appended(Proofs(trusted(), scene.clock, KEYS[scene.writer], macs, here).signed(scene.message))


def without_a_key(scene: Scene) -> Record:
    return scene.appended(replace(scene.signed(), headers=(*scene.message.headers, (HEADER, bytes(81)))))


def cut_short(scene: Scene) -> Record:
    headers = tuple((name, value[:-1] if name == HEADER else value) for name, value in scene.signed().headers)
    return scene.appended(replace(scene.signed(), headers=headers))


def signed_twice(scene: Scene) -> Record:
    signed = scene.signed()
    return scene.appended(replace(signed, headers=(*signed.headers, signed.headers[-1])))


def with_a_later_time(scene: Scene) -> Record:
    """The time of signing put forward, so that an old record looks fresh."""
    late = FRESH_US + 1_000_000
    headers = tuple(
        (name, value[:1] + (int.from_bytes(value[1:9]) + late).to_bytes(8) + value[9:] if name == HEADER else value)
        for name, value in scene.signed().headers
    )
    return scene.appended(replace(scene.signed(), headers=headers), late_us=late)


ATTACKS: tuple[Callable[[Scene], Record], ...] = (
    unsigned, moved_to_another_partition, moved_to_another_key, moved_to_another_key_alone, replayed_old, signed_ahead,
    with_another_value, made_a_tombstone,
    by_a_strangers_key, under_another_secret, without_a_key, cut_short, signed_twice, with_a_later_time,
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_forged_record_is_not_read(scene: Scene, attack: Callable[[Scene], Record]) -> None:
    record = attack(scene)
    with pytest.raises(BadProof):
        prove(record)
    with pytest.raises(BadRecord):  # a tombstone has nothing to decode
        scene.read(record)


def test_another_services_record_is_not_read(scene: Scene) -> None:
    for service in set(SERVICES) - set(WRITERS[scene.topic].services):
        with pytest.raises(BadProof):
            scene.read(scene.appended(scene.foreign(service)))


def test_a_record_of_every_other_topic_is_not_read(scene: Scene) -> None:
    for other in set(TOPICS) - {scene.topic}:
        with pytest.raises(BadProof):
            prove(scene.appended(replace(scene.signed(), topic=other)))
        signer: Service = WRITERS[other].services[0]
        elsewhere = proofs(signer, scene.clock).signed(replace(scene.message, topic=other))
        with pytest.raises(BadProof):
            scene.read(scene.appended(replace(elsewhere, topic=scene.topic)))


def without_each_header(message: Message) -> Iterator[Message]:
    for at in range(len(message.headers) - 1):
        yield replace(message, headers=message.headers[:at] + message.headers[at + 1 :])


def test_no_header_of_ours_can_be_taken_off_added_or_put_elsewhere(scene: Scene) -> None:
    signed = scene.signed()
    for lacking in without_each_header(signed):
        with pytest.raises(BadRecord):
            scene.read(scene.appended(lacking))
        with pytest.raises(BadProof):
            prove(scene.appended(lacking))
    bare = replace(scene.message, headers=tuple(one for one in scene.message.headers if one[0] != "ce_parentid"))
    resigned = proofs(scene.writer, scene.clock).signed(bare)
    with pytest.raises(BadProof):
        scene.read(scene.appended(replace(resigned, headers=(("ce_parentid", b"another"), *resigned.headers))))
    first, second, *rest = signed.headers
    with pytest.raises(BadProof):
        scene.read(scene.appended(replace(signed, headers=(second, first, *rest))))


def test_no_value_of_our_headers_can_be_changed(scene: Scene) -> None:
    signed = scene.signed()
    for at, (name, value) in enumerate(signed.headers[:-1]):
        for other in (value[:-1] + bytes([value[-1] ^ 1]), value + b"0", value[:-1], b""):
            headers = (*signed.headers[:at], (name, other), *signed.headers[at + 1 :])
            with pytest.raises(BadProof):
                prove(scene.appended(replace(signed, headers=headers)))


def test_headers_that_mean_nothing_to_us_may_be_added(scene: Scene) -> None:
    signed = scene.signed()
    traced = replace(signed, headers=(("baggage", b"a=b"), *signed.headers, ("X-Agent", b"")))
    assert scene.read(scene.appended(traced)) == example_of(scene.kind)


def test_a_definitions_body_proves_itself_by_its_hash_whoever_wrote_it() -> None:
    (case,) = (case for case in CASES if case[1].proves_itself)
    scene = Scene(*case)
    assert scene.read(scene.appended(scene.message)) == example_of(scene.kind)
    with pytest.raises(BadProof):
        prove(scene.appended(replace(scene.message, value=None)))
