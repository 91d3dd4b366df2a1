"""The command line and a service on brokers that want TLS and a password."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.child import Child, free_port
from sluice.keys import create
from tests.integration.kafka_security.conftest import PASSWORD, Secured

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]
COMMAND_S = 120.0


def sluice(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluice", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=COMMAND_S)


def test_topics_are_made_a_service_runs_and_a_topic_is_read(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    environment = secured.settings("SASL_SSL", "SCRAM-SHA-512") | {"SLUICE_KAFKA_SASL_PASSWORD": str(file)} | planners_keys(tmp_path)
    made = sluice(environment, "topics", "create")
    assert made.returncode == 0, made.stderr
    assert sluice(environment, "topics", "describe").returncode == 0
    listen = {"SLUICE_LISTEN": f"127.0.0.1:{free_port()}", "SLUICE_METRICS_LISTEN": "off"}
    # the most that is logged, and the mechanism that sends the password itself
    listen |= {"SLUICE_LOG_LEVEL": "debug", "SLUICE_KAFKA_SASL_MECHANISM": "PLAIN"}
    log = tmp_path / "planner.log"
    planner = Child("planner", [sys.executable, "-m", "sluice", "run", "planner"], log, environment | listen)
    planner.start()
    try:
        probe = [sys.executable, "deploy/healthcheck.py"]
        planner.wait_until(
            lambda: subprocess.run(probe, env=os.environ | listen, capture_output=True, check=False).returncode == 0, COMMAND_S
        )
    finally:
        planner.stop()
    assert planner.exit_code == 0
    assert PASSWORD not in log.read_text()
    read = sluice(environment, "tail", "executor.sessions")
    assert (read.returncode, read.stdout) == (0, ""), read.stderr


def planners_keys(folder: Path) -> dict[str, str]:
    create(folder / "keys")
    return {
        "SLUICE_SIGNING_KEY": str(folder / "keys" / "planner" / "signing.pem"),
        "SLUICE_TRUSTED_KEYS": str(folder / "keys" / "trusted" / "keys.json"),
    }


def test_a_service_with_a_wrong_password_ends_at_once_and_says_which_setting(secured: Secured, tmp_path: Path) -> None:
    wrong = planners_keys(tmp_path) | secured.settings("SASL_SSL", "SCRAM-SHA-512") | {"SLUICE_KAFKA_SASL_PASSWORD": "wrong-horse"}
    for command in (["run", "planner"], ["topics", "create"], ["tail", "executor.sessions"]):
        done = sluice(wrong | {"SLUICE_LISTEN": f"127.0.0.1:{free_port()}", "SLUICE_METRICS_LISTEN": "off"}, *command)
        assert done.returncode == 1
        assert "sluice: SLUICE_KAFKA_SASL_USERNAME or SLUICE_KAFKA_SASL_PASSWORD: 127.0.0.1:" in done.stderr
        assert done.stderr.rstrip().endswith("[E_KAFKA_REFUSED]")
        assert "wrong-horse" not in done.stderr
