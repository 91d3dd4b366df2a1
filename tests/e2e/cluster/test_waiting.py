"""Whoever starts a system starts all of it at once: a service waits for broker and database, says so, and then serves."""

import http.client
import json
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.child import Child, free_port
from deploy.cluster import Cluster, Member, ServiceName
from sluice.keys import create
from tests.e2e.cluster import faults
from tests.e2e.cluster.seeing import eventually, logged_in

LIVE, READY = "/-/health/live/", "/-/health/ready/"


ASKED = {"catalog": "/api/v3/flows/instances/", "executor": "/api/v3/flows/executor/default-authentication-flow/?query="}


def told(port: int, path: str) -> tuple[int, dict[str, bool]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer somebodys"} if path == ASKED["catalog"] else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("parts", {})
    finally:
        connection.close()


def says(port: int, part: str) -> bool:
    """Whether it lives, is not ready, and says that it is for want of this part."""
    try:
        return told(port, LIVE)[0] == 200 and told(port, READY)[0] == 503 and told(port, READY)[1].get(part) is False
    except OSError:
        return False


def ended(process: Child) -> int | None:
    return eventually(lambda: process.exit_code, lambda code: code is not None)


@contextmanager
def running(service: ServiceName, folder: Path, **environment: str) -> Iterator[tuple[Child, int]]:
    """One service with these settings, not waited for."""
    port = free_port()
    create(folder / "keys")
    usual = {
        "SLUICE_LISTEN": f"127.0.0.1:{port}",
        "SLUICE_METRICS_LISTEN": "off",
        "SLUICE_KAFKA": f"127.0.0.1:{free_port()}",
        "SLUICE_DATABASE": f"postgresql://{service}@127.0.0.1:{free_port()}/sluice",
        "SLUICE_SECRET_KEY": secrets.token_hex(32),
        "SLUICE_SIGNING_KEY": str(folder / "keys" / service / "signing.pem"),
        "SLUICE_TRUSTED_KEYS": str(folder / "keys" / "trusted" / "keys.json"),
    }
    process = Child(service, [sys.executable, "-m", "sluice", "run", service], folder / f"{service}.log", usual | environment)
    process.start()
    try:
        yield process, port
    finally:
        process.kill()


@pytest.mark.parametrize("service", ["catalog", "planner", "policy", "executor"])
def test_without_broker_and_database_it_lives_and_says_what_it_waits_for_and_ends_when_told(service: ServiceName, tmp_path: Path) -> None:
    with running(service, tmp_path) as (process, port):
        for part in ["kafka"] + ["postgres"] * (service in ("catalog", "executor")):
            assert eventually(lambda part=part: says(port, part), bool), process.tail()  # type: ignore[misc]
        eventually(lambda: process.log.read_text().count("waiting for kafka"), bool)
        time.sleep(2)  # several tries
        reasons = re.findall('waiting for kafka: [^"]*', process.log.read_text())
        assert all(one != another for one, another in pairwise(reasons)), process.tail()
        if service in ASKED:
            assert told(port, ASKED[service])[0] == 503
        process.signal(signal.SIGTERM)
        assert ended(process) == 0, process.tail()
        assert "Traceback" not in process.log.read_text()


def waits_for(member: Member, part: str) -> None:
    eventually(lambda: says(member.port, part), bool)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_services_that_come_before_broker_and_database_serve_once_these_come(cluster: Cluster) -> None:
    for name in cluster.members:
        cluster.kill(name)
    faults.kill_postgres(cluster)
    cluster.broker.kill()
    for name in cluster.members:
        cluster.restart(name)
    for member in cluster.members.values():
        waits_for(member, "kafka")
    cluster.broker.start()
    for name in ("planner", "policy"):
        cluster.members[name].wait_ready()
    for name in ("catalog", "executor"):
        waits_for(cluster.members[name], "postgres")
        eventually(lambda name=name: told(cluster.members[name].port, READY)[1], lambda parts: "kafka" not in parts)  # type: ignore[misc]
    faults.start_postgres(cluster)
    for member in cluster.members.values():
        member.wait_ready()
        assert member.process.log.read_text().count("kafka is there") == 1
    assert logged_in(cluster.url, "akadmin", cluster.password).who() == "akadmin"


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("service", "role", "reason"), [("catalog", "nobody", 'authentication failed for user "nobody"'), ("executor", "catalog", "schema")]
)
def test_a_database_that_refuses_the_role_ends_the_process_with_the_name_and_the_reason(
    cluster: Cluster, tmp_path: Path, service: ServiceName, role: str, reason: str
) -> None:
    uri = cluster.uris[service].replace(f"//{service}@", f"//{role}@")
    with running(service, tmp_path, SLUICE_KAFKA=cluster.broker.bootstrap, SLUICE_DATABASE=uri) as (process, _):
        assert ended(process) == 1
        assert "sluice: SLUICE_DATABASE: " in process.tail()
        assert reason in process.tail()
        assert "[E_POSTGRES_REFUSED]" in process.tail()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_broker_without_the_topics_ends_the_process_with_their_names(kafka_broker: str, tmp_path: Path) -> None:
    with running("planner", tmp_path, SLUICE_KAFKA=kafka_broker) as (process, _):
        assert ended(process) == 1
        assert "planner.requests is not there" in process.tail()
        assert "sluice topics create" in process.tail()
        assert "[E_KAFKA_REFUSED]" in process.tail()
