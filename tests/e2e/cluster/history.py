"""What a security engineer sees of `executor.sessions`, with any Kafka client and the version-and-parent rule."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from shared.contracts import topics
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.sessions import CODEC, SessionAdvanced
from shared.contracts.topics import TOPICS
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.kafka.log import KafkaLog
from shared.messaging.log import TopicPartition


@dataclass
class History:
    """Accepted transitions by session, and how many records were not believed."""

    accepted: dict[str, list[SessionAdvanced]] = field(default_factory=lambda: defaultdict(list))
    refused: int = 0

    def logins(self) -> list[str]:
        """The sessions that logged somebody in, once for each time."""
        return [name for name, steps in self.accepted.items() for step in steps for e in step.events if e.event == "session.logged_in"]


def read(bootstrap: str) -> History:
    """All of the topic as it is now."""
    return asyncio.run(_read(bootstrap))


async def _read(bootstrap: str) -> History:
    log = await KafkaLog.open(Brokers(bootstrap), TOPICS)
    found = History()
    try:
        for number in range(await log.partitions(topics.SESSIONS)):
            place, rule = TopicPartition(topics.SESSIONS, number), AcceptedTransitions()
            async for batch in log.read(place, *await log.bounds(place)):
                for record in batch:
                    received = CODEC.decode(record)
                    assert isinstance(received.body, SessionAdvanced)
                    if rule.accepts(received.envelope):
                        found.accepted[received.body.session].append(received.body)
                    else:
                        found.refused += 1
    finally:
        await log.close()
    return found
