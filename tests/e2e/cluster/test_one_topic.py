"""Somebody may write the topics of a running cluster, with Kafka's own client and no key of ours: the three that once led in."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.cluster import Cluster
from services.executor.common.sealing import new_private_key, public_half
from services.executor.directory.tokens import digest_of
from shared.contracts import policy, topics
from shared.contracts.codec import encode
from shared.contracts.directory import KeyPublished, TokenChanged
from shared.contracts.envelope import Envelope
from shared.contracts.errors import BadRecord
from shared.contracts.model import Contract
from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.kernel.clock import SystemClock
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import Message, Tail, TopicPartition
from tests.e2e.visitor import Visitor

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

CLOCK = SystemClock()
DONE = "xak-flow-redirect"
FAR_US = 2**59


def message(topic: str, body: Contract, subject: str, partition: int = 0, cause: str | None = None) -> Message:
    envelope = Envelope("forged", body.wire_type, body.wire_version, "executor", subject, CLOCK.now_us(), causation=cause)
    headers, value = encode(envelope, body)
    return Message(topic, partition, subject.encode(), value, headers)


def forge(cluster: Cluster, *messages: Message) -> None:
    async def written() -> None:
        log = await KafkaLog.open(Brokers(cluster.broker.bootstrap), topics.TOPICS)
        for one in messages:
            await log.append(one)
        await log.close()

    asyncio.run(written())


def test_a_forged_token_opens_nothing(cluster: Cluster) -> None:
    token = TokenChanged(hash=digest_of("forged").hex(), user=1, username="akadmin", is_superuser=True, is_active=True, version=2**40)
    forge(cluster, message(topics.TOKENS, token, token.hash))
    for _ in range(5):
        assert Visitor(cluster.url).ask("/api/v3/core/users/", token="forged").status == 403
        assert Visitor(cluster.members["catalog"].url).ask("/api/v3/flows/instances/", token="forged").status == 403


def test_a_forged_epoch_key_gets_no_password_and_stops_no_log_in_not_even_after_a_restart(cluster: Cluster) -> None:
    public = public_half(new_private_key())
    forged = KeyPublished(epoch="forged", public=public, made_us=FAR_US, seal_until_us=2 * FAR_US, open_until_us=2 * FAR_US)
    forge(cluster, message(topics.KEYS, forged, "forged"))
    assert Visitor(cluster.url).log_in("akadmin", cluster.password)["component"] == DONE
    cluster.restart("executor").wait_ready()
    assert Visitor(cluster.url).log_in("akadmin", cluster.password)["component"] == DONE


@contextmanager
def answering_everything(cluster: Cluster, verdict: Callable[[VerdictRequested], VerdictReached]) -> Iterator[list[str]]:
    """Read policy's questions and answer each three times, as fast as one can."""
    answered: list[str] = []
    stop = threading.Event()

    async def answer() -> None:
        log = await KafkaLog.open(Brokers(cluster.broker.bootstrap), topics.TOPICS)
        ends = {n: (await log.bounds(TopicPartition(topics.POLICY_REQUESTS, n)))[1] for n in range(topics.SESSION_PARTITIONS)}
        tail = log.tail(topics.POLICY_REQUESTS, ends)
        ending = asyncio.create_task(until_stopped(tail))
        async for records in tail:
            for record in records:
                try:
                    asked = policy.CODEC.decode(record).body
                except BadRecord:
                    continue
                if isinstance(asked, VerdictRequested):
                    said = message(topics.VERDICTS, verdict(asked), asked.session, record.partition, asked.request)
                    for _ in range(3):
                        await log.append(said)
                    answered.append(asked.request)
        await ending
        await log.close()

    async def until_stopped(tail: Tail) -> None:
        while not stop.is_set():  # noqa: ASYNC110 -- a thread sets it
            await asyncio.sleep(0.05)
        await tail.close()

    thread = threading.Thread(target=lambda: asyncio.run(answer()))
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()


def test_a_verdict_that_is_faster_than_policys_skips_no_password(cluster: Cluster) -> None:
    def fail(asked: VerdictRequested) -> VerdictReached:
        return VerdictReached(request=asked.request, session=asked.session, run=asked.run, digest=asked.digest, outcome="fail")

    with answering_everything(cluster, fail) as answered:
        for _ in range(5):
            visitor = Visitor(cluster.url)
            assert visitor.identify("akadmin")["component"] == "ak-stage-password"
            assert visitor.who() is None
            assert visitor.answer("ak-stage-password", password=cluster.password)["component"] == DONE
    assert answered
