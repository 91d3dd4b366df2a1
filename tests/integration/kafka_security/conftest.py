"""A real broker that lets nobody in without a certificate or a password, on a listener for each protocol."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.child import free_port
from deploy.kafka.broker import Broker, missing
from shared.contracts.writers import SERVICES
from tests.certificates import Authority

USER = "sluice"
PASSWORD = "correct horse #7 /staple"
STRANGER = "stranger"
"""Known to the brokers, and allowed nothing."""
READER = "siem"
"""May read every topic, once it is told."""
PROTOCOLS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True, slots=True)
class Secured:
    """Where each protocol is spoken, and the files that a client needs."""

    broker: Broker
    ports: dict[str, int]
    ca: Path
    other_ca: Path
    certificate: Path
    key: Path

    def settings(self, protocol: str, mechanism: str = "") -> dict[str, str]:
        """The environment of somebody who is let in; an empty variable counts as not set."""
        told = {"SLUICE_KAFKA": f"127.0.0.1:{self.ports[protocol]}", "SLUICE_KAFKA_SECURITY_PROTOCOL": protocol}
        if protocol.endswith("SSL"):
            told["SLUICE_KAFKA_SSL_CA_FILE"] = str(self.ca)
        if protocol == "SSL":
            told |= {"SLUICE_KAFKA_SSL_CERT_FILE": str(self.certificate), "SLUICE_KAFKA_SSL_KEY_FILE": str(self.key)}
        else:
            told |= {"SLUICE_KAFKA_SASL_USERNAME": USER, "SLUICE_KAFKA_SASL_PASSWORD": PASSWORD, "SLUICE_KAFKA_SASL_MECHANISM": mechanism}
        return told


def _listeners(ports: dict[str, int]) -> dict[str, str]:
    places = ",".join(["PLAINTEXT://127.0.0.1:${port}", *(f"{protocol}://127.0.0.1:{port}" for protocol, port in ports.items())])
    names = ("PLAINTEXT", *ports)
    return {
        "listeners": f"{places},CONTROLLER://127.0.0.1:${{controller_port}}",
        "advertised.listeners": places,
        "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in names)]),
    }


def _sasl() -> dict[str, str]:
    told = {"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512"}
    for listener in ("sasl_ssl", "sasl_plaintext"):
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in (USER, STRANGER, READER, *SERVICES))
        told[f"listener.name.{listener}.plain.sasl.jaas.config"] = f"{_PLAIN} {users};"
        told[f"listener.name.{listener}.scram-sha-512.sasl.jaas.config"] = _SCRAM
    return told


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    lacking = missing()
    if lacking:
        pytest.skip(f"kafka: {lacking}")
    folder = tmp_path_factory.mktemp("secured")
    ours, others = Authority(folder, "our authority"), Authority(folder, "another authority")
    server, server_key = ours.signed("broker", "127.0.0.1")
    keystore = folder / "keystore.pem"
    keystore.write_bytes(server_key.read_bytes() + server.read_bytes())
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ours.file),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    access = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{USER};User:CN=a service",
    }
    scram = ("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
    broker = Broker(folder / "kafka", quick_start=True, properties=_listeners(ports) | tls | access | _sasl(), format_options=scram)
    try:
        broker.start()
        yield Secured(broker, ports, ours.file, others.file, *ours.signed("a service"))
    finally:
        broker.stop()
