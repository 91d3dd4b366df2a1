"""`sluice keys`, and how a process on Kafka looks at what it made: missing or wrong keys are refused by the setting's name."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from shared.contracts.codec import prove
from shared.contracts.errors import BadProof
from shared.contracts.topics import STEPS, VERDICTS
from shared.contracts.writers import SERVICES
from shared.kernel.clock import FixedClock, SystemClock
from shared.kernel.variables import Misconfigured
from shared.messaging.log import Message, Record
from shared.messaging.trusted import TrustedKeys, read_keys
from shared.runtime.environment import load
from shared.runtime.proving import proofs_of, reading_proofs
from shared.runtime.settings import CommonSettings
from sluice.cli import app
from sluice.keys import KeysRefused, create, rotate

PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "keys")
    return tmp_path / "keys"


def settings(folder: Path, service: str = "policy", **more: Any) -> CommonSettings:
    return load(CommonSettings, signing_key=folder / service / "signing.pem", trusted_keys=folder / "trusted" / "keys.json", **more)


def test_each_service_gets_a_key_of_its_own_that_only_its_owner_reads(folder: Path) -> None:
    assert {key.service for key in read_keys(folder / "trusted" / "keys.json")} == set(SERVICES)
    assert len({(folder / service / "signing.pem").read_bytes() for service in SERVICES}) == len(SERVICES)
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    for service in SERVICES:
        proofs_of(service, settings(folder, service, secret_key=b"a secret key of an executor, 32 bytes"), SystemClock())


def test_what_is_there_stays_and_what_is_missing_is_made(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    create(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (folder / "policy" / "signing.pem").unlink()
    create(folder)
    trusted = read_keys(folder / "trusted" / "keys.json")
    assert [key.service for key in trusted].count("policy") == 2  # what the lost one signed stays good
    (folder / "trusted" / "keys.json").unlink()
    create(folder)
    for service in SERVICES:
        proofs_of(service, settings(folder, service), SystemClock())


def test_a_folder_that_cannot_be_used_is_refused_and_left_alone(folder: Path, tmp_path: Path) -> None:
    (folder / "trusted" / "keys.json").write_text("{")
    (folder / "policy" / "signing.pem").write_text("no key")
    with pytest.raises(KeysRefused):
        create(folder)
    with pytest.raises(KeysRefused):
        rotate(folder, "planner")
    assert (folder / "trusted" / "keys.json").read_text() == "{"
    with pytest.raises(KeysRefused, match="keys create"):
        rotate(tmp_path / "nothing", "planner")
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysRefused):
        create(tmp_path / "file" / "keys")


def test_a_rotated_key_and_the_one_of_before_hold_beside_each_other_for_the_overlap(folder: Path) -> None:
    clock = FixedClock(SystemClock().now_us())
    old = proofs_of("policy", settings(folder), clock)
    reader = proofs_of("executor", settings(folder, "executor", secret_key=b"a secret key of an executor, 32 bytes"), clock)
    rotate(folder, "policy", 60, clock)
    clock.advance(2)  # readers look at the file again
    new = proofs_of("policy", settings(folder), clock)
    message = Message(VERDICTS, 0, b"k", b"v")
    for writer in (old, new):
        prove(appended(writer.signed(message), reader, clock))
    clock.advance(60)
    prove(appended(new.signed(message), reader, clock))
    with pytest.raises(BadProof):
        prove(appended(old.signed(message), reader, clock))
    rotate(folder, "policy", 600, clock)
    ends = [key.expires_s for key in TrustedKeys.of_file(folder / "trusted" / "keys.json", clock).of("policy")]
    assert ends == [*sorted(end for end in ends if end is not None), None]  # the first one's end was not put off


def appended(message: Message, reader: Any, clock: FixedClock) -> Record:
    return Record(message.topic, 0, 0, clock.now_us() // 1000, message.key, message.value, message.headers, reader)


def test_the_command_line_says_what_it_made(tmp_path: Path) -> None:
    runner = CliRunner()
    made = runner.invoke(app, ["keys", "create", str(tmp_path / "k")])
    assert made.exit_code == 0
    assert [line.split()[0] for line in made.output.splitlines()] == list(SERVICES)
    rotated = runner.invoke(app, ["keys", "rotate", str(tmp_path / "k"), "catalog", "--overlap", "5"])
    assert (rotated.exit_code, "restart it within 5 s" in rotated.output) == (0, True)
    at_once = runner.invoke(app, ["keys", "rotate", str(tmp_path / "k"), "catalog", "--overlap", "0"])
    assert at_once.output.endswith("restart it at once: what it writes until then is refused\n")
    assert "PRIVATE" not in at_once.output + made.output + rotated.output


@pytest.mark.parametrize("overlap", ["99999999999999999999", "1099511627776", "31536001", "-1", "1e3"])
def test_an_overlap_that_no_reader_would_take_changes_nothing(folder: Path, overlap: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    refused = CliRunner().invoke(app, ["keys", "rotate", str(folder), "planner", "--overlap", overlap])
    assert (refused.exit_code, "--overlap" in refused.output) == (2, True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def _deleted(path: Path) -> None:
    path.unlink()


def _of_another_service(path: Path) -> None:
    path.write_bytes((path.parents[1] / "planner" / "signing.pem").read_bytes())


def _of_nobody(path: Path) -> None:
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, NoEncryption()))


def _encrypted(path: Path) -> None:
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, BestAvailableEncryption(b"pw")))


def _of_another_kind(path: Path) -> None:
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(PEM, PKCS8, NoEncryption()))


def _garbage(path: Path) -> None:
    path.write_bytes(b"\0\xff" * 100)


@pytest.mark.parametrize("spoil", [_deleted, _of_another_service, _of_nobody, _encrypted, _of_another_kind, _garbage])
def test_a_wrong_signing_key_is_refused_by_its_setting(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(folder / "policy" / "signing.pem")
    with pytest.raises(Misconfigured, match=r"^SLUICE_SIGNING_KEY"):
        proofs_of("policy", settings(folder), SystemClock())


@pytest.mark.parametrize("spoil", [_deleted, _garbage, lambda path: path.write_text('{"keys": []}')])
def test_wrong_trusted_keys_are_refused_by_their_setting(folder: Path, spoil: Callable[[Path], None]) -> None:
    spoil(folder / "trusted" / "keys.json")
    with pytest.raises(Misconfigured, match=r"^SLUICE_TRUSTED_KEYS"):
        proofs_of("policy", settings(folder), SystemClock())


@pytest.mark.parametrize("lacking", SERVICES)
def test_trusted_keys_without_one_of_a_service_are_refused(folder: Path, lacking: str) -> None:
    path = folder / "trusted" / "keys.json"
    keys = json.loads(path.read_text())["keys"]
    ended = [one | {"exp": 1_000_000_000} if one["service"] == lacking else one for one in keys]
    for told in ([one for one in keys if one["service"] != lacking], ended):
        path.write_text(json.dumps({"keys": told}))
        with pytest.raises(Misconfigured, match=f"^SLUICE_TRUSTED_KEYS.*{lacking}"):
            proofs_of("policy", settings(folder), SystemClock())


def test_without_keys_nothing_runs_on_kafka(folder: Path) -> None:
    with pytest.raises(Misconfigured, match=r"^SLUICE_SIGNING_KEY is not set"):
        proofs_of("policy", load(CommonSettings, trusted_keys=folder / "trusted" / "keys.json"), SystemClock())
    with pytest.raises(Misconfigured, match=r"^SLUICE_TRUSTED_KEYS is not set"):
        proofs_of("policy", load(CommonSettings, signing_key=folder / "policy" / "signing.pem"), SystemClock())
    with pytest.raises(Misconfigured, match=r"^SLUICE_TRUSTED_KEYS is not set"):
        reading_proofs([VERDICTS], load(CommonSettings), SystemClock())
    with pytest.raises(Misconfigured, match=r"^SLUICE_SECRET_KEY is not set"):
        reading_proofs([VERDICTS, STEPS], settings(folder), SystemClock())


def test_a_key_whose_time_is_over_or_has_not_come_is_refused(folder: Path) -> None:
    path = folder / "trusted" / "keys.json"
    keys = json.loads(path.read_text())["keys"]
    for told in ({"exp": 1_000_000_000}, {"nbf": 4_000_000_000}):
        (mine,) = [one for one in keys if one["service"] == "policy"]
        spare = json.loads((_spare(folder.parent)).read_text())["keys"]
        others = [one for one in keys if one is not mine] + [one for one in spare if one["service"] == "policy"]
        path.write_text(json.dumps({"keys": [mine | told, *others]}))
        with pytest.raises(Misconfigured, match=r"^SLUICE_SIGNING_KEY.*not hold now"):
            proofs_of("policy", settings(folder), SystemClock())


def _spare(beside: Path) -> Path:
    create(beside / "spare")
    return beside / "spare" / "trusted" / "keys.json"


def test_earlier_secrets_are_a_list_of_values_or_files(tmp_path: Path) -> None:
    file = tmp_path / "old.key"
    file.write_text("the third secret, which is in a file\n")
    told = load(CommonSettings, secret_key_previous=f"the first secret of at least 32 bytes, {file} ,")
    assert [one.get_secret_value() for one in told.secret_key_previous] == [
        b"the first secret of at least 32 bytes",
        b"the third secret, which is in a file",
    ]
    assert "secret" not in repr(told.secret_key_previous)
    with pytest.raises(Misconfigured, match=r"^SLUICE_SECRET_KEY_PREVIOUS.*32 bytes"):
        load(CommonSettings, secret_key_previous="the first secret of at least 32 bytes,short")
    with pytest.raises(Misconfigured, match=r"^SLUICE_SECRET_KEY_PREVIOUS.*cannot be read"):
        load(CommonSettings, secret_key_previous="/nowhere/old.key")


@pytest.mark.parametrize(
    ("given", "named"), [({}, "SLUICE_SIGNING_KEY"), ({"SLUICE_SIGNING_KEY": "/nowhere/signing.pem"}, "SLUICE_TRUSTED_KEYS")]
)
@pytest.mark.parametrize("service", SERVICES)
def test_a_process_without_keys_ends_before_it_asks_anybody_for_anything(service: str, given: dict[str, str], named: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    environment |= {"SLUICE_KAFKA": "127.0.0.1:1", "SLUICE_METRICS_LISTEN": "off", **given}
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "run", service], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"sluice: {named} is not set"), done.stderr
