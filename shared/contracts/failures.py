"""`dead-letters`: what could not be handled, with the reason and the original bytes. Owned by whoever met it."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, ShortText


class RecordRefused(Contract):
    """A record that its reader could not handle. `headers` are names and bytes as they came; `reason` is an error code."""

    wire_type: ClassVar[str] = "deadletter.record.refused"
    service: ShortText
    topic: ShortText
    partition: Count
    offset: Count
    reason: ShortText
    detail: ShortText = ""
    key: bytes | None
    value: bytes | None
    headers: Annotated[tuple[tuple[str, bytes], ...], Field(max_length=64)] = ()


CODEC = Codec((RecordRefused,))
