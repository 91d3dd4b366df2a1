"""Settings: a wrong one is refused with its name and the reason, a secret is never repeated."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from shared.kernel.guessable import why_guessable
from shared.kernel.variables import Misconfigured
from shared.messaging.kafka.brokers import Brokers
from shared.runtime.environment import load, unknown_variables
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from sluice.configuration import models, read
from sluice.settings import table
from tests.certificates import Authority

LONG = "3f9a Kq7-vZ+a key that nobody draws twice"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("[::1]:80", Address("::1", 80)),
        (":0", Address("127.0.0.1", 0)),
        ("sluice.example:443", Address("sluice.example", 443)),
    ],
)
def test_an_address_is_read(monkeypatch: pytest.MonkeyPatch, text: str, address: Address) -> None:
    monkeypatch.setenv("SLUICE_LISTEN", text)
    assert load(CommonSettings).listen == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICE_LISTEN", "localhost"),
        ("SLUICE_LISTEN", "localhost:65536"),
        ("SLUICE_LISTEN", "::1:80"),
        ("SLUICE_LISTEN", "127.0.0.1:\uff19000"),
        ("SLUICE_METRICS_LISTEN", "0.0.0.0:9464"),
        ("SLUICE_METRICS_LISTEN", "no"),
        ("SLUICE_KAFKA", "broker"),
        ("SLUICE_KAFKA", "broker:99999"),
        ("SLUICE_KAFKA", "broker:0"),
        ("SLUICE_KAFKA", "broker:²"),
        ("SLUICE_KAFKA", "broker..example:9092"),
        ("SLUICE_DATABASE", "mysql://hunter2@host/x"),
        ("SLUICE_SECRET_KEY", "hunter2"),
        ("SLUICE_SECRET_KEY", "hunter2" * 8),
        ("SLUICE_SECRET_KEY_PREVIOUS", "hunter2" * 8),
        ("SLUICE_BOOTSTRAP_TOKEN", "hunter2-of-the-administrator-31"),
        ("SLUICE_BOOTSTRAP_TOKEN", "hunter2" * 8),
        ("SLUICE_SECRET_KEY", "/nowhere/secret/sluice/production/hunter2.key"),
        ("SLUICE_SECRET_KEY", "nowhere/secret/sluice/production/hunter2.key"),
        ("SLUICE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("SLUICE_TRACE_RATIO", "1.5"),
        ("SLUICE_LOG_LEVEL", "loud"),
        ("SLUICE_COOKIE_HOST_PREFIX", "perhaps"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as refused:
        load(CommonSettings)
    assert str(refused.value).startswith(f"{name}: ")
    assert "hunter2" not in str(refused.value)


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_LISTEN", "x")
    monkeypatch.setenv("SLUICE_TRACE_RATIO", "x")
    monkeypatch.setenv("SLUICE_LISTN", "127.0.0.1:1")
    with pytest.raises(Misconfigured) as refused:
        read(CommonSettings)
    lines = str(refused.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["SLUICE_LISTN", "SLUICE_LISTEN", "SLUICE_TRACE_RATIO"]
    assert "SLUICE_LISTEN perhaps?" in lines[0]


def test_names_of_tests_are_nobody_elses_business() -> None:
    assert unknown_variables([CommonSettings], {"SLUICE_TEST_X": "1", "PATH": "/", "SLUICE_DATA": "x"}) == []


def test_metrics_never_share_the_visitors_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_LISTEN", "0.0.0.0:9464")
    assert load(CommonSettings).metrics_listen == Address("127.0.0.1", 9928)
    monkeypatch.setenv("SLUICE_METRICS_LISTEN", "9464")
    with pytest.raises(Misconfigured, match="SLUICE_METRICS_LISTEN"):
        load(CommonSettings)


def test_services_on_one_machine_have_metrics_on_ports_of_their_own() -> None:
    every: list[type[CommonSettings]] = [CommonSettings, *models().values()]
    ports = [load(model).metrics_listen for model in every]
    assert [address.port for address in ports if address] == [9464, 9465, 9467, 9466, 9464]


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_LISTEN", "")
    assert load(CommonSettings).listen == Address("127.0.0.1", 9000)


def test_the_secret_key_is_a_value_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_SECRET_KEY", LONG)
    assert _key() == LONG.encode()
    file = tmp_path / "a key"
    file.write_text(f"{LONG}in a file\n")
    monkeypatch.setenv("SLUICE_SECRET_KEY", str(file))
    assert _key() == f"{LONG}in a file".encode()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_SECRET_KEY", "a key")
    assert _key() == f"{LONG}in a file".encode()
    file.write_text("short\n")
    with pytest.raises(Misconfigured, match="at least 32 bytes"):
        load(CommonSettings)


WEAK = {
    "one letter": "k" * 40,
    "zeros": "0" * 64,
    "two letters": "ab" * 20,
    "a word over and over": "changeme" * 5,
    "a phrase twice, and once more begun": "correct horse battery " * 2 + "corr",
    "the alphabet": "abcdefghijklmnopqrstuvwxyz0123456789",
    "backwards": "zyxwvutsrqponmlkjihgfedcba9876543210",
    "digits": "0123456789012345678901234567890123456789",
    "seven characters": "hunter1" + "retnuh1" * 5,
    "bytes in a row": "".join(map(chr, range(65, 123))),
}


@pytest.mark.parametrize("name", ["SLUICE_SECRET_KEY", "SLUICE_BOOTSTRAP_TOKEN"])
@pytest.mark.parametrize("secret", WEAK.values(), ids=WEAK)
def test_a_secret_that_is_long_and_guessed_first_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, secret: str) -> None:
    monkeypatch.setenv(name, secret)
    with pytest.raises(Misconfigured, match=f"^{name}: it can be guessed: ") as refused:
        load(CommonSettings)
    assert secret not in str(refused.value)


def test_a_file_of_one_repeated_byte_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    monkeypatch.setenv("SLUICE_SECRET_KEY", str(file))
    for content in (b"\0" * 32, b"\xff" * 64, bytes(range(33, 80))):
        file.write_bytes(content)
        with pytest.raises(Misconfigured, match="it can be guessed"):
            load(CommonSettings)


def test_a_token_of_32_characters_is_taken_and_one_of_31_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = secrets.token_urlsafe(40)
    monkeypatch.setenv("SLUICE_BOOTSTRAP_TOKEN", drawn[:32])
    token = load(CommonSettings).bootstrap_token
    assert token is not None
    assert token.get_secret_value() == drawn[:32]
    monkeypatch.setenv("SLUICE_BOOTSTRAP_TOKEN", drawn[:31])
    with pytest.raises(Misconfigured, match="at least 32 characters"):
        load(CommonSettings)


@pytest.mark.parametrize(
    "drawn", [secrets.token_bytes, lambda n: secrets.token_hex(n // 2).encode(), lambda n: secrets.token_urlsafe(n)[:n].encode()]
)
def test_what_is_drawn_is_never_refused(drawn: Callable[[int], bytes]) -> None:
    assert [why for _ in range(2_000) if (why := why_guessable(drawn(32)))] == []


def _key() -> bytes:
    key = load(CommonSettings).secret_key
    assert key is not None
    return key.get_secret_value()


def test_the_table_shows_every_setting_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_SECRET_KEY", LONG)
    monkeypatch.setenv("SLUICE_BOOTSTRAP_PASSWORD", "hunter2")
    monkeypatch.setenv("SLUICE_DATABASE", "postgresql://executor:hunter2@db/sluice")
    monkeypatch.setenv("SLUICE_ALLOWED_HOSTS", "a.example, b.example")
    text = table()
    assert "hunter2" not in text
    assert LONG not in text
    assert "SLUICE_ALLOWED_HOSTS=a.example,b.example  [environment]" in text
    assert "SLUICE_SECRET_KEY=********  [environment]" in text
    assert "SLUICE_LISTEN=127.0.0.1:9000  [default; catalog: 127.0.0.1:9001" in text
    for field in CommonSettings.model_fields:
        assert f"SLUICE_{field.upper()}=" in text


def test_metrics_that_are_off_are_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_METRICS_LISTEN", "off")
    assert "SLUICE_METRICS_LISTEN=off  [environment]\n" in table()


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, str]:
    """A certificate that is its own authority, its key, the same key encrypted, another one, and what is none."""
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    certificate, key = authority.signed("a service")
    _, another = other.signed("another service")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    nothing = tmp_path / "nothing"
    nothing.write_text("hunter2")
    files = {"ca": authority.file, "cert": certificate, "key": key, "another": another, "encrypted": encrypted, "nothing": nothing}
    return {name: str(path) for name, path in files.items()} | {"absent": str(tmp_path / "absent")}


KAFKA = "SLUICE_KAFKA_"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"SECURITY_PROTOCOL": "TLS"}, ["SECURITY_PROTOCOL"]),
        ({"SASL_MECHANISM": "GSSAPI"}, ["SASL_MECHANISM"]),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, ["SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD"]),
        ({"SECURITY_PROTOCOL": "sasl_plaintext", "SASL_MECHANISM": "plain", "SASL_USERNAME": "u"}, ["SASL_PASSWORD"]),
        ({"SASL_USERNAME": "u", "SASL_PASSWORD": "hunter2", "SSL_CA_FILE": "ca"}, ["SASL_USERNAME", "SASL_PASSWORD", "SSL_CA_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SASL_PASSWORD": "hunter2"}, ["SASL_PASSWORD"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": "cert"}, ["SSL_KEY_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_KEY_FILE": "key"}, ["SSL_CERT_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": "absent"}, ["SSL_CA_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CA_FILE": "nothing"}, ["SSL_CA_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": "cert", "SSL_KEY_FILE": "absent"}, ["SSL_KEY_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": "cert", "SSL_KEY_FILE": "another"}, ["SSL_CERT_FILE, SLUICE_KAFKA_SSL_KEY_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": "cert", "SSL_KEY_FILE": "encrypted"}, ["SSL_CERT_FILE, SLUICE_KAFKA_SSL_KEY_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": "nothing", "SSL_KEY_FILE": "key"}, ["SSL_CERT_FILE, SLUICE_KAFKA_SSL_KEY_FILE"]),
    ],
)
def test_kafkas_security_is_judged_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, pem: dict[str, str], given: dict[str, str], names: list[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(KAFKA + name, pem[value] if name.endswith("_FILE") else value)
    with pytest.raises(Misconfigured) as refused:
        load(CommonSettings)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [KAFKA + name for name in names]
    assert "hunter2" not in str(refused.value)


def test_kafkas_security_is_taken_and_its_password_not_shown(monkeypatch: pytest.MonkeyPatch, pem: dict[str, str]) -> None:
    given = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "scram-sha-512", "SASL_USERNAME": "sluice", "SASL_PASSWORD": pem["nothing"]}
    given |= {"SSL_CA_FILE": pem["ca"], "SSL_CERT_FILE": pem["cert"], "SSL_KEY_FILE": pem["key"]}
    for name, value in given.items():
        monkeypatch.setenv(KAFKA + name, value)
    monkeypatch.setenv("SLUICE_KAFKA", "broker:9092")
    brokers = load(CommonSettings).brokers()
    assert brokers is not None
    assert brokers.connection()["sasl_plain_password"] == "hunter2", "what stands in the file that is named"
    assert brokers.connection()["sasl_mechanism"] == "SCRAM-SHA-512"
    assert brokers.connection()["ssl_context"].check_hostname
    assert "hunter2" not in repr(brokers)
    monkeypatch.setenv("SLUICE_KAFKA_SASL_PASSWORD", "hunter2")
    assert "hunter2" not in table()
    assert "SLUICE_KAFKA_SASL_PASSWORD=********  [environment]" in table()


def test_brokers_without_security_are_told_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(CommonSettings).brokers() is None
    monkeypatch.setenv("SLUICE_KAFKA", "broker:9092")
    assert load(CommonSettings).brokers() == Brokers("broker:9092")
