"""Who wrote a record, and that it lies where it was written: on Kafka no topic is trusted for being a topic (architecture §2).

A proof is one header, `sluice-proof`: its kind, the time of signing, and over all that a reader acts on (topic, partition,
key, our headers with their order and number, value, that time) either a keyed BLAKE2b MAC among the executors or an Ed25519
signature (RFC 8032) by a service's own key. Header names that are not ours mean nothing to anybody and are not covered.
"""

import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.contracts.envelope import OURS
from shared.contracts.errors import BadProof
from shared.contracts.writers import WRITERS, Service, Writers
from shared.kernel.clock import Clock
from shared.messaging.log import Message, Record, Refused
from shared.messaging.trusted import KEY_ID, TrustedKey, TrustedKeys, key_id

HEADER: Final = "sluice-proof"
FRESH_US: Final = 300_000_000
"""A record that was appended longer than this after its signing is a copy of an old one: every writer signs as it appends."""
_MAC, _SIGNATURE = 1, 2
_DIGEST: Final = 32
_PERSON: Final = b"sluice record v2"
_KEYED: Final = struct.Struct(f">BQ{_DIGEST}s")
_SIGNED: Final = struct.Struct(f">BQ{KEY_ID}s64s")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What a service signs with."""

    service: Service
    private: Ed25519PrivateKey

    @property
    def id(self) -> bytes:
        """By which the public half is found."""
        return key_id(self.private.public_key().public_bytes_raw())


def mac_keys(secrets: Sequence[bytes]) -> tuple[bytes, ...]:
    """The keys of records' MACs that come from these values of `SLUICE_SECRET_KEY` (HKDF-SHA-256, RFC 5869)."""
    return tuple(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sluice/records").derive(one) for one in secrets)


class Proofs:
    """Signs what this process appends, and judges what it reads. Not for several threads.

    `signing` None: a reader only. Of `macs`, the first signs and all verify; none: not an executor.
    """

    def __init__(
        self,
        trusted: TrustedKeys,
        clock: Clock,
        signing: SigningKey | None = None,
        macs: Sequence[bytes] = (),
        writers: Mapping[str, Writers] = WRITERS,
    ) -> None:
        self._trusted = trusted
        self._clock = clock
        self._signing = signing
        self._key_id = signing.id if signing else b""
        self._macs = tuple(macs)
        self._writers = writers

    @property
    def signer(self) -> str:
        """The id of the signing key in hexadecimal; "" for a reader."""
        return self._key_id.hex()

    def own_key(self) -> TrustedKey | None:
        """The signing key as the trusted ones have it now, or None where they have not."""
        return self._trusted.find(self._key_id)

    def signed(self, message: Message) -> Message:
        """The message with its proof, made now; `Refused` if this service must not write there."""
        rule = self._writers.get(message.topic)
        if rule is None or self._signing is None or self._signing.service not in rule.services:
            raise Refused(f"{self._signing.service if self._signing else 'a reader'} does not write {message.topic}")
        at_us = self._clock.now_us()
        if rule.proof == "mac":
            if not self._macs:
                raise Refused(f"{message.topic} needs SLUICE_SECRET_KEY")
            proof = _KEYED.pack(_MAC, at_us, _digest(message, _MAC, at_us, key=self._macs[0]))
        else:
            digest = _digest(message, _SIGNATURE, at_us, key_id=self._key_id)
            proof = _SIGNED.pack(_SIGNATURE, at_us, self._key_id, self._signing.private.sign(_PERSON + digest))
        headers = [one for one in message.headers if one[0] != HEADER]
        return Message(message.topic, message.partition, message.key, message.value, (*headers, (HEADER, proof)))

    def check(self, record: Record) -> None:
        """See `log.Prover`. Nothing that a stranger writes costs more than one signature's verification."""
        rule = self._writers.get(record.topic)
        proofs = [value for name, value in record.headers if name == HEADER]
        if rule is None or len(proofs) != 1:
            raise BadProof("unsigned" if not proofs else "signed twice")
        try:
            if rule.proof == "mac":
                kind, at_us, mac = _KEYED.unpack(proofs[0])
                holds = kind == _MAC and self._is_keyed(record, at_us, mac)
            else:
                kind, at_us, signer, signature = _SIGNED.unpack(proofs[0])
                holds = kind == _SIGNATURE and self._is_signed(record, rule, at_us, signer, signature)
        except struct.error:
            raise BadProof("not a proof of this topic's kind") from None
        if not holds:
            raise BadProof("of another record, place or writer")
        if abs(record.timestamp_ms * 1000 - at_us) > FRESH_US:
            raise BadProof("appended long after it was signed, or the writer's clock is wrong, or the topic is not LogAppendTime")

    def _is_keyed(self, record: Record, at_us: int, mac: bytes) -> bool:
        return any(hmac.compare_digest(mac, _digest(record, _MAC, at_us, key=key)) for key in self._macs)

    def _is_signed(self, record: Record, rule: Writers, at_us: int, signer: bytes, signature: bytes) -> bool:
        found = self._trusted.find(signer)
        if found is None or found.service not in rule.services:
            raise BadProof("by nobody who may write here")
        if not found.holds_at(record.timestamp_ms):
            raise BadProof(f"by a key of {found.service} that does not hold at that time")
        try:
            found.public.verify(signature, _PERSON + _digest(record, _SIGNATURE, at_us, key_id=signer))
        except InvalidSignature:
            return False
        return True


def _digest(what: Message | Record, kind: int, at_us: int, *, key: bytes = b"", key_id: bytes = b"") -> bytes:
    """Over everything that a reader acts on: first how many parts there are and how long each is, nothing and empty told apart,
    then the parts. One call packs all lengths: this runs some forty times a login."""
    parts = [key_id, what.topic.encode(), what.key, what.value]
    for name, value in what.headers:
        if (told := _NAMES.get(name)) is not None:
            parts += told, value
    sizes = [_NOTHING if part is None else len(part) for part in parts]
    head = struct.pack(f">BQII{len(sizes)}I", kind, at_us, what.partition, len(sizes), *sizes)
    return blake2b(head + b"".join(filter(None, parts)), key=key, digest_size=_DIGEST, person=_PERSON).digest()


_NOTHING: Final = 2**32 - 1
_NAMES: Final = {name: name.encode() for name in OURS}
