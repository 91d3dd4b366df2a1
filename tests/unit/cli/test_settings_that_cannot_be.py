"""Values that only the system, a library or PostgreSQL would stumble over later: refused by the setting's name, before anything starts."""

import os
from pathlib import Path

import pytest

from services.executor.settings import Settings as ExecutorSettings
from shared.kernel.variables import Misconfigured
from shared.runtime.environment import load
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from tests.e2e.sluice_process import SluiceUp


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


def refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str, model: type[CommonSettings] = CommonSettings) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as refused:
        load(model)
    return str(refused.value)


@pytest.mark.parametrize("host", [
    "login..example.com", ".example.com", "a" * 64 + ".example.com", "login\nexample.com", "login example.com", "a\tb", ".".join(["a" * 60] * 5), "\u200b", "a\x7fb",
])  # fmt: skip
@pytest.mark.parametrize("name", ["SLUICE_LISTEN", "SLUICE_KAFKA"])
def test_a_host_that_can_be_none(monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    assert refusal(monkeypatch, name, f"{host}:9731").startswith(f"{name}: wanted ")


@pytest.mark.parametrize(
    "text", ["localhost:9000", "0.0.0.0:1", "[::1]:9", "login.example.com:80", "jürgen.example:80", "my_host:80", "9000"]
)
def test_a_host_that_can_be(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLUICE_LISTEN", text)
    assert isinstance(load(CommonSettings).listen, Address)


@pytest.mark.parametrize("rest", [
    "u:hunter2@127.0.0.1:99999/x", "u:hunter2@127.0.0.1:0/x", "u:hunter2@127.0.0.1:-1/x", "u:hunter2@db:5432x/x", "u:hunter2@a..b/x", f"u:hunter2@{'a' * 64}/x",
    "u:hunter2@a,b:99999/x", "u:hunter2@/x?port=99999", "u:hunter2@a/x?host=b..c", "u:hunter2@[::1/x", "u:hunter2@::1/x", "u:hunter2@db:" + "9" * 5000,
])  # fmt: skip
def test_a_database_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    told = refusal(monkeypatch, "SLUICE_DATABASE", f"postgresql://{rest}")
    assert told.startswith("SLUICE_DATABASE: ")
    assert "hunter2" not in told


@pytest.mark.parametrize("rest", [
    "u:p%40@127.0.0.1:5432/x", "u@/x?host=/run/postgresql", "u@%2Frun%2Fpostgresql/x", "u@[::1]:5432/x", "a:1,b:2/x", "/x", "u:p@db/x?sslmode=require", "u@/x?host=/a&port=5433",
])  # fmt: skip
def test_a_database_that_can_be(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    monkeypatch.setenv("SLUICE_DATABASE", f"postgresql://{rest}")
    assert load(CommonSettings).database is not None


@pytest.mark.parametrize("name", ["SLUICE_SECRET_KEY", "SLUICE_SECRET_KEY_PREVIOUS", "SLUICE_KAFKA_SASL_PASSWORD"])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "large", "nobody's home"])
def test_a_key_that_is_in_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "key"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(os.urandom(64 * 1024 + 1))
        case "device":
            path = Path("/dev/zero")
        case _:
            path = Path("~nobody-of-that-name/key")
    assert refusal(monkeypatch, name, str(path)).startswith(f"{name}: it looks like the path of a file")


@pytest.mark.parametrize(("name", "value"), [
    ("SLUICE_BOOTSTRAP_PASSWORD", "p" * 1025), ("SLUICE_BOOTSTRAP_PASSWORD", "ü" * 513), ("SLUICE_BOOTSTRAP_PASSWORD", "p\udcff"),
    ("SLUICE_BOOTSTRAP_EMAIL", "x"), ("SLUICE_BOOTSTRAP_EMAIL", "x@"), ("SLUICE_BOOTSTRAP_EMAIL", "x@localhost"), ("SLUICE_BOOTSTRAP_EMAIL", "a b@example.com"),
    ("SLUICE_BOOTSTRAP_EMAIL", "a@example..com"), ("SLUICE_BOOTSTRAP_EMAIL", "\udcff@example.com"),
])  # fmt: skip
def test_a_first_administrator_who_cannot_be(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    told = refusal(monkeypatch, name, value, ExecutorSettings)
    assert told.startswith(f"{name}: ")
    assert value not in told or value == "x"


@pytest.mark.parametrize(
    ("name", "value"),
    [("SLUICE_BOOTSTRAP_EMAIL", "nobody"), ("SLUICE_BOOTSTRAP_PASSWORD", "p" * 2000), ("SLUICE_LOGIN_IDLE_MINUTES", "soon")],
)
def test_nothing_is_made_or_started_before_it_is_refused(tmp_path: Path, name: str, value: str) -> None:
    done = SluiceUp(tmp_path / "data", {name: value}).command("up", check=False)
    assert (done.returncode, f"{name}: " in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    assert not (tmp_path / "data").exists()
