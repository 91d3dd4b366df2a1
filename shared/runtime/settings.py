"""The settings that every service understands: fields, defaults, and which of them contradict each other.

A service's own `Settings` (services/*/settings.py) inherits from `CommonSettings`; each field is the variable `SLUICE_` plus its
name in capitals. An empty variable counts as not set. Nothing here repeats a value in an error: it may be a secret.
"""

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.kernel.variables import PREFIX, variable
from shared.messaging.kafka.brokers import Brokers, Sasl, SaslMechanism, SecurityProtocol
from shared.runtime.kafka_access import contradictions, tls_context
from shared.runtime.secret_settings import BootstrapToken, DatabaseUri, SecretKey, SecretKeys, SecretText
from shared.runtime.setting_types import Address, BasePath, Hosts, Listen, LogLevel, MetricsListen, Networks, Servers, beside, upper
from shared.telemetry import variables

Protocol = Annotated[SecurityProtocol, BeforeValidator(upper)]
Mechanism = Annotated[SaslMechanism, BeforeValidator(upper)]


class CommonSettings(BaseSettings):
    """What all services, and the one process of `sluice up`, understand."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    listen: Listen = Field(Address("127.0.0.1", 9000), description="host:port where visitors and gateways come in")
    metrics_listen: MetricsListen = Field(
        default_factory=lambda given: beside(given.get("listen")),
        description="host:port or a port, on loopback, of the Prometheus endpoint; or off. By default 464 above the visitors' port",
    )
    drain_seconds: float = Field(
        3.0,
        ge=0.0,
        le=8.0,
        description="`sluice run` at SIGTERM: for so long it still answers, says that it is not ready and closes each connection with its answer; "
        "as long as those who send visitors take to notice",
    )
    data: Path = Field(Path("data"), description="folder of `sluice up`: log, PostgreSQL, secret key")
    kafka: Servers | None = Field(
        None, description="bootstrap servers, host:port[,host:port]; `sluice run` needs them, `sluice up` never uses them"
    )
    kafka_security_protocol: Protocol = Field(
        "PLAINTEXT",
        description="of the brokers' listeners: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; outside of a private network, SASL_SSL",
    )
    kafka_sasl_mechanism: Mechanism | None = Field(None, description="with SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str = Field("", description="with SASL: who this process is to the brokers, and to their access lists")
    kafka_sasl_password: SecretText | None = Field(None, description="with SASL: the password, or the path of its file")
    kafka_ssl_ca_file: Path | None = Field(
        None, description="with SSL: certificates (PEM) of who signs those of the brokers; none set: whom this machine trusts"
    )
    kafka_ssl_cert_file: Path | None = Field(None, description="with SSL, where the brokers ask for it: this process's certificate (PEM)")
    kafka_ssl_key_file: Path | None = Field(None, description="the key (PEM, not encrypted) of that certificate")
    attempts_per_address: int = Field(
        1000,
        ge=1,
        le=1_000_000_000,
        description="wrong passwords in an hour from one address (a /64 for IPv6) until all of it are refused; and wrong bearer tokens",
    )
    database: DatabaseUri | None = Field(
        None, description="postgresql://… as the role of the service (`catalog` or `executor`); `sluice up` brings its own"
    )
    secret_key: SecretKey | None = Field(
        None,
        description="the key under which cookies are proved and epoch keys wrapped: itself or the path of its file; at least 32 random bytes",
    )
    secret_key_previous: SecretKeys = Field(
        (),
        description="keys that SLUICE_SECRET_KEY was or will be, separated by commas (one with a comma in it: as a file): what was made under them is still taken",
    )
    relay_lease_seconds: float = Field(
        3.0,
        ge=0.5,
        le=60.0,
        description="of the processes that carry PostgreSQL's outbox into the log one leads: for how long, once nothing is heard of it, the others wait",
    )
    signing_key: Path | None = Field(
        None,
        description="over Kafka: file (PEM) with this service's own Ed25519 key, which signs what it writes; `sluice keys create` makes it",
    )
    trusted_keys: Path | None = Field(
        None, description="over Kafka: file (JWK set) with the public keys of all services; looked at again when it changes"
    )
    bootstrap_password: SecretStr | None = Field(
        None, description="password of the first administrator, akadmin; used once, while there is no user"
    )
    bootstrap_token: BootstrapToken | None = Field(
        None,
        description="bearer token of akadmin for the API, at least 32 random characters; put in place at start (`sluice run`: only beside a bootstrap password)",
    )
    bootstrap_email: str = Field("", max_length=254, description="e-mail address of akadmin")
    allowed_hosts: Hosts = Field((), description="hosts that are answered, separated by commas; others get 421. None set: every host")
    trusted_proxies: Networks = Field((), description="networks whose X-Forwarded-* or Forwarded headers are believed, separated by commas")
    forwarded_headers: Literal["auto", "x-forwarded", "forwarded"] = Field(
        "auto",
        description="which headers the trusted proxies write; auto: X-Forwarded-* if there is any of them, else Forwarded (RFC 7239)",
    )
    path: BasePath = Field("", description="the path under which browsers see all of it, such as /auth, if that is not the host's root")
    cookie_host_prefix: bool | None = Field(
        None,
        description="name the cookies __Host-…, which browsers take over HTTPS only, and from no other host. By default over HTTPS; true: always; false: never",
    )
    hsts_max_age: int = Field(
        31_536_000,
        ge=0,
        le=63_072_000,
        description="over HTTPS, for how many seconds browsers shall come by HTTPS only; 0: nothing is said of it",
    )
    hsts_subdomains: bool = Field(False, description="the same for all names below the host's")
    trace_ratio: float = Field(
        default_factory=lambda: variables.trace_ratio(os.environ),
        ge=0.0,
        le=1.0,
        description=f"share of the new traces that are recorded, from 0 to 1. By default what {variables.SAMPLER} says, else {variables.RATIO}",
    )
    log_level: LogLevel = Field("INFO", description="what is logged: debug, info, warning or error, and all above")

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.metrics_listen is not None and self.metrics_listen.port == self.listen.port != 0:
            raise ValueError(f"{PREFIX}METRICS_LISTEN: the visitors' port ({PREFIX}LISTEN); metrics would be open to everybody")
        return self

    @model_validator(mode="after")
    def _traces_are_understood(self) -> Self:
        if wrong := list(variables.mistakes(os.environ)):
            raise ValueError("\n".join(wrong))
        return self

    @model_validator(mode="after")
    def _brokers_can_be_reached(self) -> Self:
        others = ("sasl_mechanism", "sasl_username", "sasl_password", "ssl_ca_file", "ssl_cert_file", "ssl_key_file")
        given = {variable(f"kafka_{name}"): bool(getattr(self, f"kafka_{name}")) for name in others}
        if wrong := list(contradictions(self.kafka_security_protocol, given)):
            raise ValueError("\n".join(wrong))
        if self.kafka_security_protocol.endswith("SSL"):
            tls_context(self.kafka_ssl_ca_file, self.kafka_ssl_cert_file, self.kafka_ssl_key_file)
        return self

    def brokers(self) -> Brokers | None:
        """The brokers of these settings, which were found to fit together; None where there are none."""
        if self.kafka is None:
            return None
        protocol, password = self.kafka_security_protocol, self.kafka_sasl_password
        tls = sasl = None
        if protocol.endswith("SSL"):
            tls = tls_context(self.kafka_ssl_ca_file, self.kafka_ssl_cert_file, self.kafka_ssl_key_file)
        if self.kafka_sasl_mechanism is not None and password is not None:
            sasl = Sasl(self.kafka_sasl_mechanism, self.kafka_sasl_username, password.get_secret_value())
        return Brokers(self.kafka, protocol, sasl, tls)
