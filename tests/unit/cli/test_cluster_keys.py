"""`make cluster` gives each process its own signing key, and the secret to executors alone."""

from pathlib import Path

from deploy.cluster import PORTS, Cluster


def test_each_process_gets_its_own_key_and_only_executors_the_secret(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    told = {service: cluster._settings(service, 1, 2) for service in PORTS}
    assert {service for service, settings in told.items() if "SLUICE_SECRET_KEY" in settings} == {"executor"}
    for service, settings in told.items():
        assert settings["SLUICE_SIGNING_KEY"] == str(tmp_path / "keys" / service / "signing.pem")
        assert settings["SLUICE_TRUSTED_KEYS"] == str(tmp_path / "keys" / "trusted" / "keys.json")
