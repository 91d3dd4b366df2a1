"""The offsets of a group, as its member commits them and asks for them."""

import asyncio
import logging
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared.messaging.kafka.held import Share
from shared.messaging.log import LogUnavailable
from shared.messaging.log import TopicPartition as Place

ANSWER_S = 1.0

_log = logging.getLogger(__name__)


class Commits:
    """Of one member: what it does not hold by now is not its to commit."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, share: Share) -> None:
        self._consumer = consumer
        self._group = group
        self._share = share

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """See `log.Membership.commit`."""
        ours = {
            TopicPartition(*place): offset
            for place, offset in offsets.items()
            if place.partition in self._share.held and place.topic in self._share.topics
        }
        if not ours:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._consumer.commit(ours)
        except (CommitFailedError, IllegalStateError) as error:
            _log.info("group %s: a commit came too late, the records come again elsewhere: %r", self._group, error)
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"group {self._group}: a commit was not acknowledged: {error!r}") from error

    async def committed(self, place: Place) -> int | None:
        """See `log.Membership.committed`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                offset: int | None = await self._consumer.committed(TopicPartition(*place))
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"group {self._group}: no answer about its offsets: {error!r}") from error
        return offset
