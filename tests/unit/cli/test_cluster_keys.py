"""`make cluster` gives each process its own signing key, and the secret to executors alone; what it does not know starts nothing."""

import sys
from pathlib import Path

import pytest

from deploy import cluster as module
from deploy.cluster import PORTS, Cluster


def test_each_process_gets_its_own_key_and_only_executors_the_secret(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    told = {service: cluster._settings(service, 1, 2) for service in PORTS}
    assert {service for service, settings in told.items() if "SLUICE_SECRET_KEY" in settings} == {"executor"}
    for service, settings in told.items():
        assert settings["SLUICE_SIGNING_KEY"] == str(tmp_path / "keys" / service / "signing.pem")
        assert settings["SLUICE_TRUSTED_KEYS"] == str(tmp_path / "keys" / "trusted" / "keys.json")


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("-h", 0), ("--version", 2), ("stop", 2)])
def test_who_asks_what_it_does_gets_no_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str, code: int
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(sys, "argv", ["deploy.cluster", argument])
    monkeypatch.setattr(module, "Cluster", started)
    monkeypatch.setattr(module, "missing", lambda: None)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == code
    told = capsys.readouterr()
    assert "Ctrl-C" in told.out if code == 0 else argument in told.err
