"""A group whose coordination stands still while fetching goes on: seen once in eight runs under kills, and for ever.

The member's connection to the coordinator goes through a proxy, which cuts it and nothing else. A membership that the group has not
confirmed for long, though the broker answers, ends; whoever keeps it joins anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.child import free_port
from deploy.kafka.broker import Broker, missing
from shared.messaging.joining import stay_joined
from shared.messaging.kafka import delivery
from shared.messaging.kafka.admin import create_topics
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import LogUnavailable, Membership, Message
from tests.conformance.log.conftest import topics
from tests.conformance.log.proxy import Fault, Proxy
from tests.conformance.log.support import Recorder, joined, until

pytestmark = pytest.mark.kafka
SOON_S = 2.0


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, int]]:
    """A broker that tells its clients the proxy's port."""
    lacking = missing()
    if lacking:
        pytest.skip(f"kafka: {lacking}")
    port = free_port()
    own = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    broker = Broker(tmp_path_factory.mktemp("proxied-kafka"), quick_start=True, properties=own)
    try:
        broker.start()
        yield broker, port
    finally:
        broker.stop()


@pytest.fixture
async def proxy(proxied: tuple[Broker, int]) -> AsyncIterator[Proxy]:
    broker, port = proxied
    async with Proxy(port, lambda: broker.port) as proxy:
        await create_topics(Brokers(f"127.0.0.1:{port}"), topics().values())
        yield proxy


@pytest.fixture
async def log(proxied: tuple[Broker, int], proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KafkaLog]:
    monkeypatch.setattr(delivery, "FORGOTTEN_S", SOON_S)
    log = await KafkaLog.open(Brokers(f"127.0.0.1:{proxied[1]}"), topics())
    yield log
    proxy.fault = ""
    await log.close()


@pytest.mark.parametrize("fault", ["swallow", "close", "refuse"])
async def test_a_membership_whose_coordination_stands_still_ends_and_is_joined_anew(
    log: KafkaLog, proxy: Proxy, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    memberships: list[Membership] = []

    class Staying(Recorder):
        def joined(self, membership: Membership) -> None:
            memberships.append(membership)
            self.membership, self.held, self.coming, self.is_halted = membership, frozenset(), frozenset(), False

    member = Staying()
    with caplog.at_level(logging.CRITICAL):
        staying = asyncio.create_task(stay_joined(log, f"stands-{fault}", ["plain"], member))
        await until(lambda: len(member.held) == 3)
        await log.append(Message("plain", 0, b"k", b"before"))
        await until(lambda: b"before" in member.values)
        proxy.fault = fault
        await until(lambda: proxy.swallowed > 0)
        await until(lambda: memberships[0].failure is not None)
        assert isinstance(memberships[0].failure, LogUnavailable)
        assert "has not answered" in str(memberships[0].failure)
        proxy.fault = ""
        await until(lambda: len(memberships) > 1 and len(member.held) == 3)
        await log.append(Message("plain", 0, b"k", b"after"))
        await until(lambda: b"after" in member.values)
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)


@pytest.mark.parametrize("fault", ["swallow", "refuse"])
async def test_nothing_is_handed_out_meanwhile(log: KafkaLog, proxy: Proxy, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FORGOTTEN_S", 600.0)
    member = await joined(log, f"quiet-{fault}", ["plain"])
    await until(lambda: len(member.held) == 3)
    membership = member.membership
    assert membership is not None
    proxy.fault = fault
    await until(lambda: membership.heartbeat_age() > delivery.STALE_S)
    count = len(member.records)
    await log.append(Message("plain", 1, b"k", b"meanwhile"))
    await asyncio.sleep(1.0)
    assert len(member.records) == count
    assert membership.failure is None
    proxy.fault = ""
    await until(lambda: b"meanwhile" in member.values)
    await membership.leave()


async def test_a_broker_that_answers_nothing_at_all_is_waited_for(log: KafkaLog, proxy: Proxy) -> None:
    """Where nothing answers, to join anew would not help: that is an outage, and the membership outlasts it."""
    member = await joined(log, "outage", ["plain"])
    await until(lambda: len(member.held) == 3)
    membership = member.membership
    assert membership is not None
    proxy.cut = True
    await until(lambda: membership.heartbeat_age() > 3 * SOON_S)
    assert membership.failure is None
    proxy.cut = False
    await until(lambda: membership.heartbeat_age() < 1.0)
    assert membership.failure is None
    await membership.leave()
