"""`dead-letters`: what could not be handled, with the reason and as much of it as there is room for. Owned by whoever met it."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, ShortText


class RecordRefused(Contract):
    """A record that its reader could not handle. `reason` is an error code; `key`, `value` and `headers` (names and bytes) are what it
    began with, and the sizes, `header_count` and `digest` (SHA-256 of the whole value, hexadecimal) what it was: a letter is bounded,
    whatever it is about. Its id is the record's place and the reader's service, however often it is said."""

    wire_type: ClassVar[str] = "deadletter.record.refused"
    service: ShortText
    topic: ShortText
    partition: Count
    offset: Count
    reason: ShortText
    detail: ShortText = ""
    key: bytes | None
    key_size: Count
    value: bytes | None
    value_size: Count
    digest: ShortText
    headers: Annotated[tuple[tuple[str, bytes], ...], Field(max_length=64)] = ()
    header_count: Count
    header_size: Count


CODEC = Codec((RecordRefused,))
