"""A fetch asked for and read in one go: aiokafka packs each number of each partition by itself, there and back.

A worker's fetch names the 48 partitions of its four topics and the answer names them again, nearly all of them with nothing new:
generic code took a tenth of an executor's CPU for that. Fetch version 11 (Kafka protocol guide, "Fetch API"), which every
broker since 2.3 speaks; of older ones aiokafka's own code reads and writes. Same bytes out; of the answer, the partitions that have
neither records nor an error are left out, for nobody reads the watermarks that they tell of.
"""

import struct
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

# replica, wait, least and most bytes, isolation, session and its epoch, number of topics
_ASKED: Final = struct.Struct(">iiiibiii")
# partition, leader's epoch, offset, start of the log, most bytes
_ASKED_OF: Final = struct.Struct(">iiqqi")
# throttle, error, session, number of topics
_ANSWER: Final = struct.Struct(">ihii")
# partition, error, high watermark, last stable offset, start of the log, number of aborted transactions
_ANSWER_OF: Final = struct.Struct(">ihqqqi")
_ABORTED: Final = struct.Struct(">qq")
# preferred replica, length of the records
_RECORDS: Final = struct.Struct(">ii")
_LENGTH: Final = struct.Struct(">h")
_COUNT: Final = struct.Struct(">i")


class QuickResponse(FetchResponse_v11):  # type: ignore[misc] # aiokafka has no types for it
    """What came, without the partitions of which nothing came."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> "QuickResponse":
        """The response whose bytes these are; `struct.error` or `ValueError` for anything else, which costs the connection."""
        raw = data if isinstance(data, bytes) else data.read()
        throttle_ms, error, session, count = _ANSWER.unpack_from(raw)
        at, topics = _ANSWER.size, []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(raw, at)
            name = raw[at + 2 : at + 2 + length].decode()
            partitions, at = _partitions(raw, at + 2 + length)
            if partitions:
                topics.append((name, partitions))
        return cls(throttle_ms, error, session, topics)


def _partitions(raw: bytes, at: int) -> tuple[list[tuple[Any, ...]], int]:
    """The partitions of one topic that have something to tell, and where they end."""
    (count,) = _COUNT.unpack_from(raw, at)
    at += _COUNT.size
    found = []
    for _ in range(count):
        *told, aborted = _ANSWER_OF.unpack_from(raw, at)
        at += _ANSWER_OF.size
        transactions = None if aborted < 0 else [_ABORTED.unpack_from(raw, at + n * _ABORTED.size) for n in range(aborted)]
        at += max(aborted, 0) * _ABORTED.size
        replica, size = _RECORDS.unpack_from(raw, at)
        at += _RECORDS.size
        if size > 0 or told[1]:
            found.append((*told, transactions, replica, raw[at : at + size] if size >= 0 else None))
        at += max(size, 0)
        if at > len(raw):
            raise ValueError("records longer than the response")
    return found, at


class QuickRequest(FetchRequest_v11):  # type: ignore[misc] # as above
    """What is asked for."""

    RESPONSE_TYPE = QuickResponse

    def encode(self) -> bytes:
        """The same bytes as aiokafka's."""
        parts = [
            _ASKED.pack(
                self.replica_id, self.max_wait_time, self.min_bytes, self.max_bytes, self.isolation_level, self.session_id, self.session_epoch,
                len(self.topics),
            )
        ]  # fmt: skip
        for topic, partitions in self.topics:
            parts += _text(topic), _COUNT.pack(len(partitions))
            parts += [_ASKED_OF.pack(*one) for one in partitions]
        parts.append(_COUNT.pack(len(self.forgotten_topics_data)))
        for topic, numbers in self.forgotten_topics_data:
            parts += _text(topic), _COUNT.pack(len(numbers)), *(_COUNT.pack(one) for one in numbers)
        parts.append(_text(self.rack_id))
        return b"".join(parts)


def _text(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def install() -> None:
    """Have aiokafka's consumers ask and read so."""
    FetchRequest._CLASSES = tuple(QuickRequest if known is FetchRequest_v11 else known for known in FetchRequest._CLASSES)
