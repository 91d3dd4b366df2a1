"""How settings are written by people: addresses, hosts, networks, paths, lists. `ValueError` says what is wanted instead."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from shared.kernel.places import authority_of, readable_path

HOST_MAX: Final = 253  # characters (RFC 1035 §2.3.4)
PORT_DIGITS: Final = 5
OFF: Final = "off"
METRICS_APART: Final = 464
OWN_PATHS: Final = ("-", "api", "flows", "if", "static")
"""What our own routes begin with."""


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
    if not (is_port(port) or port == "0"):
        raise ValueError("wanted is host:port, with a port from 0 to 65535")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise ValueError("an IPv6 address is written in brackets: [::1]:9000")
    if host and not is_host(host.strip("[]")):
        raise ValueError("wanted is host:port, with an address or a name that a host can have")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def _metrics_address(value: Any) -> Any:
    if value == OFF:
        return None
    address = parse_address(value if ":" in str(value) else f"127.0.0.1:{value}") if isinstance(value, str) else value
    if isinstance(address, Address) and not _is_loopback(address.host):
        raise ValueError("wanted is an address on loopback: metrics tell who logs in how often and are not for visitors")
    return address


def beside(listen: Address | None) -> Address | None:
    """Where metrics are by default: services on one machine, which differ in their port, then differ in this one too."""
    port = listen.port if listen else 0
    return Address("127.0.0.1", port and (port + METRICS_APART if port + METRICS_APART < 65536 else port - METRICS_APART))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def words_of(value: Any) -> Any:
    """The words of a text, which commas separate."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _network(word: Any) -> Any:
    try:
        return ip_network(word) if isinstance(word, str) else word
    except ValueError:
        raise ValueError("wanted are networks like 10.0.0.0/8, separated by commas") from None


def _networks(value: Any) -> Any:
    words = words_of(value)
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


def upper(value: Any) -> Any:
    """The text in capitals, for words that are read in either case."""
    return value.upper() if isinstance(value, str) else value


def _servers(value: str) -> str:
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not (host and is_host(host) and is_port(port)):
            raise ValueError("wanted are one or more host:port, separated by commas")
    return value


def is_host(host: str) -> bool:
    """Whether a host can be called that."""
    if len(host) > HOST_MAX or not host.isprintable() or " " in host:
        return False
    try:
        return bool(host.encode("idna"))
    except UnicodeError:  # a label that is empty or too long, which nobody can be asked for
        return False


def is_port(text: str) -> bool:
    """Whether it is the number of a port, 0 apart."""
    return text.isascii() and text.isdigit() and len(text) <= PORT_DIGITS and 0 < int(text) < 65536


Listen = Annotated[Address, NoDecode, BeforeValidator(parse_address)]
MetricsListen = Annotated[Address | None, NoDecode, BeforeValidator(_metrics_address)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words_of)]
Hosts = Annotated[Words, AfterValidator(_hosts)]
Servers = Annotated[str, AfterValidator(_servers)]
BasePath = Annotated[str, AfterValidator(_path)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)]
