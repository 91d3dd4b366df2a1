"""`sluice topics acls`, carried out by Kafka's own tool on a real broker that denies all else, cell by cell: every principal,
every topic, reading, writing, deleting and widening it, and every group."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    NoError,
    TopicAuthorizationFailedError,
)

from deploy.child import Child, ChildFailed, free_port
from deploy.kafka.broker import jars
from shared.contracts.topics import TOPICS
from shared.contracts.writers import GROUPS, SERVICES, WRITERS
from sluice.keys import create
from tests.integration.kafka_security.conftest import PASSWORD, READER, Secured

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]
PRINCIPALS = (*SERVICES, READER)
TOOL_S = 120.0
DENIED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
"""As the broker says it: of the topic, of the group, of who may write nothing at all."""


def tool() -> list[str]:
    """What stands behind `kafka-acls.sh`, whose jar a broker alone does not need."""
    libraries = jars()
    found = sorted(libraries.glob("kafka-tools-[0-9]*.jar"))
    if not found:
        (clients,) = libraries.glob("kafka-clients-[0-9]*.jar")
        version = clients.stem.removeprefix("kafka-clients-")
        folder = libraries.with_name(f"{libraries.name}-tools")
        if not list(folder.glob("*.jar")):
            goal = ["dependency:copy", f"-Dartifact=org.apache.kafka:kafka-tools:{version}", f"-DoutputDirectory={folder}"]
            done = subprocess.run(["mvn", "-B", "-q", *goal], capture_output=True, text=True, check=False, timeout=TOOL_S)
            if done.returncode:
                raise ChildFailed(f"Maven could not resolve Kafka's tools:\n{done.stdout}{done.stderr}")
        return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*:{folder}/*", "org.apache.kafka.tools.AclCommand"]
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{libraries}/*", "org.apache.kafka.tools.AclCommand"]


@pytest.fixture(scope="module")
def guarded(secured: Secured) -> Iterator[Secured]:
    """The broker with our topics, and the printed commands carried out by its administrator; what was tried goes again."""
    environment = os.environ | {"SLUICE_KAFKA": secured.broker.bootstrap}
    sluice = [sys.executable, "-m", "sluice", "topics"]
    subprocess.run([*sluice, "create"], env=environment, check=True, capture_output=True, timeout=TOOL_S)
    printed = subprocess.run(
        [*sluice, "acls", "--reader", f"User:{READER}"], env=environment, check=True, capture_output=True, text=True, timeout=TOOL_S
    )
    for line in printed.stdout.splitlines():
        if not line.startswith("#"):
            command, *arguments = shlex.split(line)
            assert command == "kafka-acls.sh"
            done = subprocess.run([*tool(), *arguments], capture_output=True, text=True, check=False, timeout=TOOL_S)
            assert done.returncode == 0, done.stdout + done.stderr
    yield secured
    asyncio.run(forgotten(secured.broker.bootstrap))


async def forgotten(bootstrap: str) -> None:
    """Our topics deleted: what was written to see whether it may be is nothing for another module's readers of this broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(TOPICS))
    finally:
        await admin.close()


def client(guarded: Secured, principal: str) -> dict[str, object]:
    return {
        "bootstrap_servers": f"127.0.0.1:{guarded.ports['SASL_PLAINTEXT']}", "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN", "sasl_plain_username": principal, "sasl_plain_password": PASSWORD,
    }  # fmt: skip


async def may_write(guarded: Secured, principal: str, topic: str) -> bool:
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, request_timeout_ms=5_000, **client(guarded, principal))
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"v", key=b"k", partition=0)
    except DENIED:
        return False
    finally:
        with suppress(*DENIED):  # told a second time
            await producer.stop()
    return True


async def may_read(guarded: Secured, principal: str, topic: str) -> bool:
    consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **client(guarded, principal))
    await consumer.start()
    try:
        await consumer._client.set_topics([topic])
        if topic in consumer._client.cluster.unauthorized_topics:  # aiokafka would wait for it
            return False
        consumer.assign([TopicPartition(topic, 0)])
        return bool(await consumer.getmany(timeout_ms=20_000))
    except TopicAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_every_topic_is_written_and_read_by_whom_the_table_names(guarded: Secured, principal: str) -> None:
    administrator = AIOKafkaProducer(bootstrap_servers=guarded.broker.bootstrap)
    await administrator.start()
    for topic in TOPICS:
        await administrator.send_and_wait(topic, b"v", key=b"k", partition=0)  # there is something to read
    await administrator.stop()
    written = {topic for topic in TOPICS if await may_write(guarded, principal, topic)}
    assert written == {topic for topic, rule in WRITERS.items() if principal in rule.services}
    read = {topic for topic in TOPICS if await may_read(guarded, principal, topic)}
    assert read == ({*TOPICS} if principal == READER else {topic for topic, rule in WRITERS.items() if principal in rule.readers})


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_nobody_deletes_or_widens_a_topic(guarded: Secured, principal: str) -> None:
    admin = AIOKafkaAdminClient(**client(guarded, principal))
    await admin.start()
    try:
        deleted = await admin.delete_topics(list(TOPICS))
        assert {name for name, code in deleted.topic_error_codes if code == NoError.errno} == set()
        for topic in TOPICS:
            with pytest.raises(TopicAuthorizationFailedError):
                await admin.create_partitions({topic: NewPartitions(50)})
    finally:
        await admin.close()


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_a_group_is_joined_by_its_service_alone(guarded: Secured, principal: str) -> None:
    joined = set()
    for owner, (group,) in GROUPS.items():
        topic = next(topic for topic, rule in WRITERS.items() if owner in rule.readers)
        consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **client(guarded, principal))
        try:
            await consumer.start()
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.commit({TopicPartition(topic, 0): 0})
            joined.add(group)
        except DENIED:
            pass
        finally:
            await consumer.stop()
    assert joined == set(GROUPS.get(principal, ()))  # type: ignore[call-overload] # the reader is no service


def test_a_service_with_these_rights_and_no_others_works(guarded: Secured, tmp_path: Path) -> None:
    create(tmp_path)
    environment = guarded.settings("SASL_PLAINTEXT", "PLAIN") | {
        "SLUICE_KAFKA_SASL_USERNAME": "planner",
        "SLUICE_SIGNING_KEY": str(tmp_path / "planner" / "signing.pem"),
        "SLUICE_TRUSTED_KEYS": str(tmp_path / "trusted" / "keys.json"),
        "SLUICE_LISTEN": f"127.0.0.1:{free_port()}",
        "SLUICE_METRICS_LISTEN": "off",
    }
    planner = Child("planner", [sys.executable, "-m", "sluice", "run", "planner"], tmp_path / "log", environment)
    planner.start()
    try:
        probe = [sys.executable, "deploy/healthcheck.py"]
        planner.wait_until(
            lambda: subprocess.run(probe, env=os.environ | environment, capture_output=True, check=False).returncode == 0, TOOL_S
        )
    finally:
        planner.stop()
    assert planner.exit_code == 0
