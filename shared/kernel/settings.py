"""Settings from the environment: what every service understands, and how a wrong one is refused by name, never silently.

A service's own `Settings` (services/*/settings.py) inherits from `CommonSettings`; each field is the variable `SLUICE_` plus its
name in capitals. An empty variable counts as not set. Nothing here repeats a value in an error: it may be a secret.
"""

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretBytes, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from shared.kernel import otel_variables
from shared.kernel.errors import SluiceError
from shared.kernel.guessable import why_guessable
from shared.kernel.kafka_access import SaslMechanism, SecurityProtocol, contradictions, tls_context
from shared.kernel.places import authority_of, readable_path

PREFIX: Final = "SLUICE_"
TEST_PREFIX: Final = "SLUICE_TEST"
SECRET_KEY_MIN: Final = 32  # bytes
TOKEN_MIN: Final = 32  # characters
HOST_MAX: Final = 253  # characters (RFC 1035 §2.3.4)
PORT_DIGITS: Final = 5
FILE_MAX: Final = 64 * 1024  # bytes of a file with a key or a password
OFF: Final = "off"
METRICS_APART: Final = 464
OWN_PATHS: Final = ("-", "api", "flows", "if", "static")
"""What our own routes begin with."""


class Misconfigured(SluiceError):
    """Settings that cannot be worked with; the text names each variable and the reason, one a line."""

    code = "E_SETTINGS"


class Address(NamedTuple):
    """Where to listen. Port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: Any) -> Any:
    """The address in `host:port`, `[v6]:port` or a bare port (then on 127.0.0.1); `ValueError` for another text."""
    if not isinstance(value, str):
        return value
    host, _, port = value.strip().rpartition(":")
    if not (_is_port(port) or port == "0"):
        raise ValueError("wanted is host:port, with a port from 0 to 65535")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError("an IPv6 address is written in brackets: [::1]:9000")
    if host and not _is_host(host.strip("[]")):
        raise ValueError("wanted is host:port, with an address or a name that a host can have")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def _metrics_address(value: Any) -> Any:
    if value == OFF:
        return None
    address = parse_address(value if ":" in str(value) else f"127.0.0.1:{value}") if isinstance(value, str) else value
    if isinstance(address, Address) and not _is_loopback(address.host):
        raise ValueError("wanted is an address on loopback: metrics tell who logs in how often and are not for visitors")
    return address


def _beside(listen: Address | None) -> Address | None:
    """Where metrics are by default: services on one machine, which differ in their port, then differ in this one too."""
    port = listen.port if listen else 0
    return Address("127.0.0.1", port and (port + METRICS_APART if port + METRICS_APART < 65536 else port - METRICS_APART))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _network(word: Any) -> Any:
    try:
        return ip_network(word) if isinstance(word, str) else word
    except ValueError:
        raise ValueError("wanted are networks like 10.0.0.0/8, separated by commas") from None


def _networks(value: Any) -> Any:
    words = _words(value)
    return tuple(map(_network, words)) if isinstance(words, tuple) else words


def _hosts(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(authority_of, words)):
        raise ValueError("wanted are names like login.example.com, with a port or without, separated by commas")
    return words


def _path(text: str) -> str:
    path = readable_path(text)
    if path is None or path.strip("/").partition("/")[0] in OWN_PATHS:
        own = ", ".join(f"/{one}" for one in OWN_PATHS)
        raise ValueError(f"wanted is a path like /auth, of letters, digits, - . _ ~ only; not one that begins like our own: {own}")
    return path


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _servers(value: str) -> str:
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not (host and _is_host(host) and _is_port(port)):
            raise ValueError("wanted are one or more host:port, separated by commas")
    return value


def _is_host(host: str) -> bool:
    if len(host) > HOST_MAX or not host.isprintable() or " " in host:
        return False
    try:
        return bool(host.encode("idna"))
    except UnicodeError:  # a label that is empty or too long, which nobody can be asked for
        return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= PORT_DIGITS and 0 < int(text) < 65536


def _database(value: SecretStr) -> SecretStr:
    uri = value.get_secret_value()
    if not uri.startswith(("postgresql://", "postgres://")):
        raise ValueError("wanted is a URI that begins with postgresql://")
    try:
        hosts, ports = _database_places(uri)
    except ValueError:
        raise ValueError("wanted is a URI like postgresql://role:password@host:5432/database") from None
    if not all(host.startswith("/") or _is_host(host.strip("[]")) for host in hosts):
        raise ValueError("its host is neither an address nor a name that a host can have")
    if not all(map(_is_port, ports)):
        raise ValueError("its port is none: wanted is one from 1 to 65535")
    return value


def _database_places(uri: str) -> tuple[list[str], list[str]]:
    """All hosts (a folder is one: of a Unix socket) and ports that a URI names, as libpq has them: several, in the query too."""
    parts = urlsplit(uri)
    places = [re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", one, re.DOTALL) for one in parts.netloc.rpartition("@")[2].split(",")]
    if not all(places):
        raise ValueError
    query = parse_qs(parts.query)
    named = [(unquote(one[1]), one[2]) for one in places if one]
    more = [[one for value in query.get(name, ()) for one in value.split(",")] for name in ("host", "port")]
    return [host for host, _ in named if host] + [one for one in more[0] if one], [port for _, port in named if port] + [
        one for one in more[1] if one
    ]


def _secret(value: Any) -> Any:
    """The secret itself, or what stands in the file that the value names."""
    if not isinstance(value, str):
        return value
    # A key in hexadecimal or base64 has no dot; a mistyped path must not become the key.
    is_path = value.startswith(("/", ".", "~")) or ("/" in value and "." in value) or _is_file(value)
    if not is_path:
        return value.encode()
    try:
        return content(Path(value).expanduser()).strip()
    except OSError as error:
        raise ValueError(f"it looks like the path of a file, which cannot be read: {error.strerror}") from None
    except RuntimeError:  # of `expanduser`
        raise ValueError("it looks like the path of a file in the home of a user whom nobody knows") from None


def content(path: Path, most: int = FILE_MAX) -> bytes:
    """What stands in a file that somebody named; `OSError` if it cannot be read, is no regular file (EINVAL), or has more than
    `most` bytes (EFBIG).

    A device or a pipe never ends, or never begins: who opens a pipe to read would wait for somebody who writes.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        found = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return found


def _secret_text(value: Any) -> Any:
    secret = _secret(value)
    try:
        return secret.decode() if isinstance(secret, bytes) else secret
    except UnicodeDecodeError:
        raise ValueError("wanted is text in UTF-8") from None


def _long_enough(value: SecretBytes) -> SecretBytes:
    if len(value.get_secret_value()) < SECRET_KEY_MIN:
        raise ValueError(f"wanted are at least {SECRET_KEY_MIN} bytes, as text or in the file that it names")
    _not_guessable(value.get_secret_value())
    return value


def _token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if len(token) < TOKEN_MIN:
        raise ValueError(f"wanted are at least {TOKEN_MIN} characters: whoever guesses it may do everything")
    _not_guessable(token.encode())
    return value


def _not_guessable(secret: bytes) -> None:
    if why := why_guessable(secret):
        raise ValueError(f"it can be guessed: {why}. Draw one, for instance with: openssl rand -base64 33")


def _secrets(value: Any) -> Any:
    return tuple(_long_enough(SecretBytes(_secret(word))) for word in _words(value)) if isinstance(value, str) else value


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # too long for a path: a key then
        return False


Listen = Annotated[Address, NoDecode, BeforeValidator(parse_address)]
MetricsListen = Annotated[Address | None, NoDecode, BeforeValidator(_metrics_address)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Hosts = Annotated[Words, AfterValidator(_hosts)]
BasePath = Annotated[str, AfterValidator(_path)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
SecretKey = Annotated[SecretBytes, BeforeValidator(_secret), AfterValidator(_long_enough)]
SecretKeys = Annotated[tuple[SecretBytes, ...], NoDecode, BeforeValidator(_secrets)]
BootstrapToken = Annotated[SecretStr, AfterValidator(_token)]
SecretText = Annotated[SecretStr, BeforeValidator(_secret_text)]
Protocol = Annotated[SecurityProtocol, BeforeValidator(_upper)]
Mechanism = Annotated[SaslMechanism, BeforeValidator(_upper)]


class CommonSettings(BaseSettings):
    """What all services, and the one process of `sluice up`, understand."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    listen: Listen = Field(Address("127.0.0.1", 9000), description="host:port where visitors and gateways come in")
    metrics_listen: MetricsListen = Field(
        default_factory=lambda given: _beside(given.get("listen")),
        description="host:port or a port, on loopback, of the Prometheus endpoint; or off. By default 464 above the visitors' port",
    )
    data: Path = Field(Path("data"), description="folder of `sluice up`: log, PostgreSQL, secret key")
    kafka: Annotated[str, AfterValidator(_servers)] | None = Field(
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
    database: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
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
        default_factory=lambda: otel_variables.trace_ratio(os.environ),
        ge=0.0,
        le=1.0,
        description=f"share of the new traces that are recorded, from 0 to 1. By default what {otel_variables.SAMPLER} says, else {otel_variables.RATIO}",
    )
    log_level: LogLevel = Field("INFO", description="what is logged: debug, info, warning or error, and all above")

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.metrics_listen is not None and self.metrics_listen.port == self.listen.port != 0:
            raise ValueError(f"{PREFIX}METRICS_LISTEN: the visitors' port ({PREFIX}LISTEN); metrics would be open to everybody")
        return self

    @model_validator(mode="after")
    def _traces_are_understood(self) -> Self:
        if wrong := list(otel_variables.mistakes(os.environ)):
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


_CONSEQUENCE: Final = "default_factory_not_called"  # pydantic's word for a default that needs a value which was wrong itself

S = TypeVar("S", bound=CommonSettings)


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def load(model: type[S], **given: Any) -> S:
    """The settings of the environment; `given` goes before it.

    Raises:
        Misconfigured: with all that is wrong.
    """
    try:
        return model(**given)
    except ValidationError as failure:
        reasons = [_reason(error["loc"], error["msg"]) for error in failure.errors(include_input=False) if error["type"] != _CONSEQUENCE]
        raise Misconfigured("\n".join(reasons)) from None
    except SettingsError as failure:
        raise Misconfigured(str(failure)) from None


def unknown_variables(models: Iterable[type[CommonSettings]], environ: Mapping[str, str] = os.environ) -> list[str]:
    """What is wrong with the names in the environment: one line for each `SLUICE_*` that none of these models has."""
    known = {variable(field) for model in models for field in model.model_fields}
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known)
    return [f"{name}: there is no such setting{_suggestion(name, known)}" for name in strangers]


def _suggestion(name: str, known: set[str]) -> str:
    # Without what all have in common: by it alone, any two names would be close.
    close = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in sorted(known)], n=1)
    return f"; {PREFIX}{close[0]} perhaps?" if close else ""


def _reason(place: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{variable(str(place[0]))}: {text}" if place else text
