"""Keeps aiokafka from filling a disk, and from telling secrets.

While a broker is away its clients say so hundreds of times a second, and while a topic is, a thousand times.
"""

import logging
from typing import Final

EVERY_S: Final = 10.0
"""The same words of the same logger are let through once in so long."""
LOGGERS: Final = (
    "aiokafka",
    "aiokafka.admin.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.coordinator.assignors.range",
    "aiokafka.helpers",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
    "shared.messaging.kafka.records",
)


class OnceInAWhile(logging.Filter):
    """Lets a message through and drops its repetitions for a while; the next one tells in `repeated` how many they were."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`. Messages are the same if their format is: ports and reasons may differ."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.msg)
        at, dropped = self._told.get(key, (record.created - EVERY_S, 0))
        if record.created - at < EVERY_S:
            self._told[key] = (at, dropped + 1)
            return False
        if dropped:
            record.repeated = dropped
        if isinstance(record.msg, str) and record.args:  # a text with its values in it might be another one every time
            self._told[key] = (record.created, 0)
        return True


def install() -> None:
    """Filter aiokafka's loggers; to be called any number of times.

    At DEBUG its connections tell every request with its bytes, the password of SASL's PLAIN and all records among them: never.
    """
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, OnceInAWhile) for one in logger.filters):
            logger.addFilter(OnceInAWhile())
