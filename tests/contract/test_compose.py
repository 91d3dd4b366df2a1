"""docker-compose.yml holds what it promises, checked without Docker: official images, nobody is root, nothing is writable."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contracts.writers import SERVICES as SIGNERS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def test_every_service_of_sluice_runs() -> None:
    commands = [service["command"] for service in OURS.values()]
    for name in ("catalog", "planner", "policy", "executor"):
        assert any(command[:2] == ["run", name] for command in commands), name
    assert ["topics", "create"] in commands


def test_what_is_not_ours_is_an_official_image_of_an_exact_version() -> None:
    theirs = {service["image"].split(":")[0]: service["image"].split(":")[1] for name, service in SERVICES.items() if name not in OURS}
    assert theirs.keys() == {"apache/kafka", "postgres"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", theirs["apache/kafka"])
    assert re.fullmatch(r"\d+\.\d+", theirs["postgres"])
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim", bases[0])


def test_the_image_of_kafka_is_the_release_that_the_tests_run_on() -> None:
    tested = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>([^<]+)<", (ROOT / "deploy" / "kafka" / "pom.xml").read_text())
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"


def test_one_dockerfile_builds_all_of_ours() -> None:
    assert {(service["build"]["dockerfile"], service["image"]) for service in OURS.values()} == {("deploy/Dockerfile", "sluice:local")}
    assert (ROOT / "deploy" / "Dockerfile").is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_gains_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert service["read_only"] is True


@pytest.mark.parametrize("name", OURS)
def test_ours_run_as_the_images_user_with_nothing_to_write_but_tmp(name: str) -> None:
    service = OURS[name]
    assert service["user"] == "10001:10001"
    assert all(volume.startswith("keys-") for volume in service.get("volumes", ()))
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ("keys", "topics")])
def test_what_stays_up_is_checked_for_health(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_whom_one_waits_for_is_there_and_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        waited_for = SERVICES[other]
        if how["condition"] == "service_healthy":
            assert waited_for["healthcheck"].get("test"), other
        else:
            assert how["condition"] == "service_completed_successfully"
            assert waited_for["restart"] == "no"


def test_only_the_visitors_port_is_published_and_only_on_loopback() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {"executor": ["127.0.0.1:9000:9000"]}
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_each_role_of_the_database_goes_to_its_service_alone() -> None:
    roles = {
        name: service["environment"].get("SLUICE_DATABASE", "").partition("://")[2].partition(":")[0] for name, service in OURS.items()
    }
    assert {name: role for name, role in roles.items() if role} == {
        "catalog": "catalog",
        "executor": "executor",
        "executor-worker": "executor",
    }


def test_only_executors_get_the_secret_and_each_service_its_own_signing_key_alone() -> None:
    with_secret = {name for name, service in OURS.items() if "SLUICE_SECRET_KEY" in service["environment"]}
    assert with_secret == {"executor", "executor-worker"}
    for name, service in OURS.items():
        if service["command"][0] == "run":
            own = service["command"][1]
            assert service["volumes"] == [f"keys-{own}:/keys/own:ro", "keys-trusted:/keys/trusted:ro"], name
            assert service["environment"]["SLUICE_SIGNING_KEY"] == "/keys/own/signing.pem"
            assert service["environment"]["SLUICE_TRUSTED_KEYS"] == "/keys/trusted/keys.json"
            assert service["depends_on"]["keys"] == {"condition": "service_completed_successfully"}


def test_the_first_start_makes_the_keys_where_the_services_look() -> None:
    keys = SERVICES["keys"]
    assert keys["command"] == ["keys", "create", "/keys"]
    assert {volume.partition(":")[2] for volume in keys["volumes"]} == {f"/keys/{one}" for one in (*SIGNERS, "trusted")}
    for folder in ("own", "trusted", *SIGNERS):  # a new volume gets the owner of the image's folder that it is mounted on
        assert re.search(rf"install -d -o 10001 .*/keys/{folder}\b", DOCKERFILE), folder


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|TOKEN|DATABASE", name):
                assert "${" in value, name


def test_files_that_are_mounted_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_the_image_is_built_from_the_lock_and_from_what_is_there() -> None:
    assert "pip install --require-hashes -r requirements.txt" in DOCKERFILE
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            allowed = (ROOT / ".dockerignore").read_text().splitlines()
            assert f"!{source}" in allowed, source
