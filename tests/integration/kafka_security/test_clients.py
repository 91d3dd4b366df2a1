"""Every client that we make shows who it is and looks whom it talks to; who is refused is told by name, and waits for nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from shared.contracts.topics import Topic
from shared.kernel.clock import SystemClock
from shared.messaging.kafka.admin import create_topics, describe_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.check import KafkaRefused, check
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import LogUnavailable, Message, TopicPartition
from shared.runtime.environment import load
from shared.runtime.settings import CommonSettings
from tests.conformance.log.support import joined, until
from tests.integration.kafka_security.conftest import STRANGER, Secured

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
LISTENERS = [("SSL", ""), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512"), ("SASL_PLAINTEXT", "SCRAM-SHA-512")]
WAIT_S = 60.0


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    """TLS takes its leave of the broker before it closes; a loop that ends before leaves a socket for a later test to complain of."""
    yield
    loop: Any = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_S):
        while any(transport._sock is not None for transport in list(loop._transports.values())):  # noqa: ASYNC110 - aiokafka has let go of them
            await asyncio.sleep(0.01)


def brokers(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Brokers:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = load(CommonSettings).brokers()
    assert found is not None
    return found


@pytest.mark.parametrize(("protocol", "mechanism"), LISTENERS)
async def test_all_clients_are_let_in(secured: Secured, monkeypatch: pytest.MonkeyPatch, protocol: str, mechanism: str) -> None:
    cluster = brokers(monkeypatch, secured.settings(protocol, mechanism))
    topic = Topic(f"{protocol}-{mechanism}", "k", "w", "c", partitions=1)
    assert await create_topics(cluster, [topic]) == {topic.name: "created"}
    assert (await describe_topics(cluster, [topic]))[topic.name]["partitions"] == "1"
    log = KafkaLog(cluster, {topic.name: topic}, SystemClock())
    await log.reach()
    async with asyncio.timeout(WAIT_S):
        place = TopicPartition(topic.name, 0)
        await log.append(Message(topic.name, 0, b"k", b"v"))
        assert await log.bounds(place) == (0, 1)
        assert [record.value async for batch in log.read(place, 0, 1) for record in batch] == [b"v"]
        member = await joined(log, topic.name, [topic.name])
        await until(lambda: member.values == [b"v"])
        async for batch in log.tail(topic.name, {0: 0}):
            assert batch[0].value == b"v"
            break
    await log.close()


@pytest.mark.parametrize(
    ("protocol", "mechanism", "change", "names"),
    [
        ("SASL_SSL", "PLAIN", {"SLUICE_KAFKA_SASL_PASSWORD": "wrong"}, "SLUICE_KAFKA_SASL_PASSWORD"),
        ("SASL_SSL", "SCRAM-SHA-512", {"SLUICE_KAFKA_SASL_PASSWORD": "wrong"}, "SLUICE_KAFKA_SASL_PASSWORD"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512", {"SLUICE_KAFKA_SASL_USERNAME": "nobody"}, "SLUICE_KAFKA_SASL_USERNAME"),
        ("SASL_SSL", "SCRAM-SHA-256", {}, "SLUICE_KAFKA_SASL_MECHANISM"),
        ("SASL_SSL", "PLAIN", {"SLUICE_KAFKA_SSL_CA_FILE": "other_ca"}, "SLUICE_KAFKA_SSL_CA_FILE"),
        ("SASL_SSL", "PLAIN", {"SLUICE_KAFKA": "localhost"}, "SLUICE_KAFKA_SSL_CA_FILE"),
        ("SSL", "", {"SLUICE_KAFKA_SSL_CERT_FILE": "", "SLUICE_KAFKA_SSL_KEY_FILE": ""}, "SLUICE_KAFKA_SSL_CERT_FILE"),
    ],
)
async def test_what_the_brokers_refuse_is_told_by_the_settings_name(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, protocol: str, mechanism: str, change: dict[str, str], names: str
) -> None:
    files = {"other_ca": str(secured.other_ca), "localhost": f"localhost:{secured.ports[protocol]}"}
    environment = secured.settings(protocol, mechanism) | {name: files.get(value, value) for name, value in change.items()}
    cluster = brokers(monkeypatch, environment)
    for entry in (check(cluster), KafkaLog.open(cluster, {}), create_topics(cluster, [])):
        with pytest.raises(KafkaRefused, match=names) as refused:
            await entry
        assert "wrong" not in str(refused.value)


async def test_a_user_without_any_right_is_refused(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic("seen-by-some", "k", "w", "c", partitions=1)
    await create_topics(brokers(monkeypatch, secured.settings("SASL_SSL", "PLAIN")), [topic])
    stranger = brokers(monkeypatch, {"SLUICE_KAFKA_SASL_USERNAME": STRANGER})
    with pytest.raises(KafkaRefused, match="access lists"):
        await check(stranger, {topic.name: topic})


async def test_a_listener_without_sasl_is_told(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(brokers(monkeypatch, secured.settings("SASL_PLAINTEXT", "PLAIN")), servers=secured.broker.bootstrap)
    with pytest.raises(KafkaRefused, match=r"SLUICE_KAFKA_SECURITY_PROTOCOL.*without SASL"):
        await check(plain)


@pytest.mark.parametrize("spoken", ["SSL", "SASL_SSL", "SASL_PLAINTEXT"])
async def test_a_listener_that_hangs_up_may_speak_another_protocol(secured: Secured, spoken: str) -> None:
    with pytest.raises(LogUnavailable, match=r"a listener of SLUICE_KAFKA_SECURITY_PROTOCOL=PLAINTEXT\?"):
        await check(Brokers(f"127.0.0.1:{secured.ports[spoken]}"))
