"""Contracts that a database keeps for a while, for whoever asks again under the same key: an older release may have written them.

What is kept names its type and version as an envelope does, so that a newer release brings it up to date instead of stumbling.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from shared.contracts import wire
from shared.contracts.asks import PasswordVerified
from shared.contracts.codec import Codec
from shared.contracts.errors import BadType
from shared.contracts.model import Contract
from shared.contracts.orders import OrdersPerformed

C = TypeVar("C", bound=Contract)
KEPT: Final = (PasswordVerified, OrdersPerformed)
CODEC: Final = Codec(KEPT)
LIMIT: Final = 128 * 1024


def keep(body: Contract) -> bytes:
    """The bytes to keep."""
    return wire.pack({"type": body.wire_type, "version": body.wire_version, "body": body.model_dump()})


def kept(raw: bytes, model: type[C], codec: Codec = CODEC) -> C:
    """What was kept, brought up to the current version; a `BadRecord` for anything else."""
    match wire.unpack(raw, LIMIT):
        case {"type": str(kind), "version": int(version), "body": Mapping() as body}:
            found = codec.current(kind, version, body)
            if isinstance(found, model):
                return found
        case _:
            pass
    raise BadType
