"""How Kafka's brokers let us in: what its security settings mean together, under the names that librdkafka's users know."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from shared.messaging.kafka.brokers import SecurityProtocol

PROTOCOL: Final = "SLUICE_KAFKA_SECURITY_PROTOCOL"
SASL: Final = ("SLUICE_KAFKA_SASL_MECHANISM", "SLUICE_KAFKA_SASL_USERNAME", "SLUICE_KAFKA_SASL_PASSWORD")
CA_FILE: Final = "SLUICE_KAFKA_SSL_CA_FILE"
CERT_FILE: Final = "SLUICE_KAFKA_SSL_CERT_FILE"
KEY_FILE: Final = "SLUICE_KAFKA_SSL_KEY_FILE"


def contradictions(protocol: SecurityProtocol, given: Mapping[str, bool]) -> Iterator[str]:
    """What does not fit the protocol, a line each: a setting that it lacks, or one that it would never look at.

    `given` says of each of the other variables whether it is set.
    """
    if protocol.startswith("SASL_"):
        yield from (f"{name}: {PROTOCOL}={protocol} needs it" for name in SASL if not given[name])
    else:
        yield from (f"{name}: {PROTOCOL}={protocol} does not use it; SASL_SSL does" for name in SASL if given[name])
    if not protocol.endswith("SSL"):
        files = (CA_FILE, CERT_FILE, KEY_FILE)
        yield from (f"{name}: {PROTOCOL}={protocol} does not use it; SSL and SASL_SSL do" for name in files if given[name])
    elif given[CERT_FILE] != given[KEY_FILE]:
        lacking, there = (KEY_FILE, CERT_FILE) if given[CERT_FILE] else (CERT_FILE, KEY_FILE)
        yield f"{lacking}: {there} is set, and one is nothing without the other"


def tls_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer to brokers whose certificate, with the name that we call them by, somebody we trust has signed.

    That is `ca_file`, or who this machine trusts; the two others are what we show of ourselves. `ValueError` names the file
    that is not as it should be.
    """
    for name, path in ((CA_FILE, ca_file), (CERT_FILE, cert_file), (KEY_FILE, key_file)):
        _readable(name, path)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ValueError(f"{CA_FILE}: wanted are certificates in PEM") from None
    if cert_file is not None:
        try:
            # An encrypted key would otherwise be asked for on the terminal, by a process that has none.
            context.load_cert_chain(cert_file, key_file, password=lambda: b"")
        except (ssl.SSLError, ValueError):
            raise ValueError(f"{CERT_FILE}, {KEY_FILE}: wanted are a certificate in PEM and its own key, not encrypted") from None
    return context


def _readable(name: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{name}: the file cannot be read: {error.strerror}") from None
