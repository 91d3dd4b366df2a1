"""What a process on Kafka signs and verifies with, from its settings; what is missing or wrong is refused before it joins anything."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.contracts.writers import SERVICES, WRITERS, Service
from shared.kernel.clock import Clock
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.proof import Proofs, SigningKey, mac_keys
from shared.messaging.trusted import BadKeys, TrustedKeys
from shared.runtime.own_key import SIGNING, TRUSTED, fault_of
from shared.runtime.secret_settings import content
from shared.runtime.settings import CommonSettings

_HOW: Final = "`sluice keys create FOLDER` makes keys for all services"

_log = logging.getLogger(__name__)


def proofs_of(name: str, settings: CommonSettings, clock: Clock) -> Proofs:
    """For a service; `Misconfigured` names the setting."""
    service = cast("Service", name)
    if settings.signing_key is None:
        raise Misconfigured(f"{SIGNING} is not set: over Kafka, {service} signs what it writes; {_HOW}")
    trusted = _trusted(settings.trusted_keys, clock)
    signing = SigningKey(service, _private(settings.signing_key))
    if fault := fault_of(trusted.find(signing.id), service, clock.now_us() // 1000):
        raise Misconfigured(f"{SIGNING}: {fault}")
    if settings.secret_key is not None and service != "executor":
        _log.warning("%s: only executors need it; take it from %s, which proves itself by its own key", variable("secret_key"), service)
    return Proofs(trusted, clock, signing, _macs(settings) if service == "executor" else ())


def reading_proofs(topics: Sequence[str], settings: CommonSettings, clock: Clock) -> Proofs:
    """For whoever reads these topics and writes nothing; `Misconfigured` names the setting that it lacks."""
    for topic in topics:
        if WRITERS[topic].proof == "mac" and settings.secret_key is None:
            raise Misconfigured(f"{variable('secret_key')} is not set: executors alone can tell whether a record of {topic} is theirs")
    return Proofs(_trusted(settings.trusted_keys, clock), clock, macs=_macs(settings))


def _macs(settings: CommonSettings) -> tuple[bytes, ...]:
    secrets = [] if settings.secret_key is None else [settings.secret_key, *settings.secret_key_previous]
    return mac_keys([one.get_secret_value() for one in secrets])


def _trusted(path: Path | None, clock: Clock) -> TrustedKeys:
    if path is None:
        raise Misconfigured(f"{TRUSTED} is not set: over Kafka, records prove their writers; {_HOW}")
    try:
        trusted = TrustedKeys.of_file(path, clock)
    except (BadKeys, OSError) as error:
        raise Misconfigured(f"{TRUSTED}: {path}: {_reason(error)}") from None
    now_ms = clock.now_us() // 1000
    if lacking := [one for one in SERVICES if not any(key.holds_at(now_ms) for key in trusted.of(one))]:
        raise Misconfigured(f"{TRUSTED}: {path}: there is no key of {', '.join(lacking)} that holds now")
    return trusted


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content(path), None)
    except OSError as error:
        raise Misconfigured(f"{SIGNING}: {path}: {_reason(error)}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None  # not PEM, or encrypted
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"{SIGNING}: {path}: wanted is an Ed25519 key in PEM (PKCS #8), not encrypted")
    return key


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
