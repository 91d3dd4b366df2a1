"""`sluice up`, which at its end writes down all that its log holds: topics kept an hour or less are in its memory alone.

The file is named by `SLUICE_TEST_DUMP`; a line each: topic, and key, value and headers in base64.
"""

import base64
import os
from pathlib import Path

from shared.contracts.topics import TOPICS
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import TopicPartition
from sluice import __main__ as sluice

_close = EmbeddedLog.close


async def _told_first(log: EmbeddedLog) -> None:
    with Path(os.environ["SLUICE_TEST_DUMP"]).open("w") as file:
        for topic in TOPICS:
            for partition in range(await log.partitions(topic)):
                place = TopicPartition(topic, partition)
                async for records in log.read(place, *await log.bounds(place)):
                    for record in records:
                        parts = [
                            record.key or b"",
                            record.value or b"",
                            *(part for name, value in record.headers for part in (name.encode(), value)),
                        ]
                        file.write(" ".join([topic, *(base64.b64encode(part).decode() for part in parts)]) + "\n")
    await _close(log)


if __name__ == "__main__":
    EmbeddedLog.close = _told_first  # type: ignore[assignment,method-assign]
    sluice.main()
