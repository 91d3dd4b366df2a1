"""Signed logs for tests: keys of all services, and a log on which each topic's own writer signs, whoever of the test writes."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.contracts.topics import TOPICS
from shared.contracts.writers import SERVICES, WRITERS, Service
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Log, Message
from shared.messaging.proof import Proofs, SigningKey, mac_keys
from shared.messaging.proved import ProvedLog
from shared.messaging.trusted import TrustedKey, TrustedKeys

SECRET: Final = b"a secret that only executors have"
KEYS: Final[Mapping[Service, SigningKey]] = {
    service: SigningKey(service, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number, service in enumerate(SERVICES, 1)
}


def trusted(keys: Iterable[SigningKey] = tuple(KEYS.values())) -> TrustedKeys:
    return TrustedKeys(TrustedKey(key.service, key.private.public_key()) for key in keys)


def proofs(service: Service, clock: Clock | None = None) -> Proofs:
    """What this service's process has."""
    return Proofs(trusted(), clock or SystemClock(), KEYS[service], mac_keys([SECRET]) if service == "executor" else ())


class Everybody(Proofs):
    """Signs as whoever may write the topic: for a test that plays all the services that it does not run."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(trusted(), clock or SystemClock(), macs=mac_keys([SECRET]))
        self._services = {service: proofs(service, clock) for service in SERVICES}

    def signed(self, message: Message) -> Message:
        return self._services[WRITERS[message.topic].services[0]].signed(message)


_signing = False


@contextmanager
def signing(on: bool) -> Iterator[None]:
    """While it lasts, `opened` gives out signed logs."""
    global _signing
    before, _signing = _signing, on
    try:
        yield
    finally:
        _signing = before


async def opened(clock: Clock | None = None) -> EmbeddedLog:
    """A log in memory, with proofs if the test runs signed; what of `EmbeddedLog` is beside the port is not there then."""
    log = await EmbeddedLog.open(TOPICS, None, clock)
    return cast("EmbeddedLog", ProvedLog(log, Everybody(clock))) if _signing else log


def as_service(log: Log, service: Service, clock: Clock | None = None) -> ProvedLog:
    """The log as a service's process holds it on Kafka."""
    return ProvedLog(log, proofs(service, clock))
