"""Which brokers there are and how they are reached: what every Kafka client that we make is told."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

CLIENT_ID: Final = "sluice"


@dataclass(frozen=True, slots=True)
class Sasl:
    """Who we are to the brokers."""

    mechanism: SaslMechanism
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Brokers:
    """Bootstrap servers, `host:port[,host:port]`, and their listeners' protocol; `sasl` and `tls` where that has them."""

    servers: str
    protocol: SecurityProtocol = "PLAINTEXT"
    sasl: Sasl | None = None
    tls: ssl.SSLContext | None = None

    def client(self) -> dict[str, Any]:
        """The arguments that aiokafka's producer, consumer and administrator share."""
        return {"bootstrap_servers": self.servers, "client_id": CLIENT_ID, **self.connection()}

    def connection(self) -> dict[str, Any]:
        """Those of a bare connection."""
        told: dict[str, Any] = {"security_protocol": self.protocol, "ssl_context": self.tls}
        if self.sasl is not None:
            told |= {
                "sasl_mechanism": self.sasl.mechanism,
                "sasl_plain_username": self.sasl.username,  # aiokafka's names for SCRAM's as well
                "sasl_plain_password": self.sasl.password,
            }
        return told
