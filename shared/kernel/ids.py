"""Ids: random ones are made once at the edge, all others are derived, so that a second run draws the same.

A session id begins with the partition that its records go to (architecture §2), so nobody has to hash as
somebody else does, and partitions can be added under running sessions: `07.3q2-7w...`.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Callable

_SESSION = re.compile(r"([0-9a-f]{2,4})\.[A-Za-z0-9_-]{22}\Z")

Entropy = Callable[[int], bytes]


def random_id(entropy: Entropy = secrets.token_bytes) -> str:
    """A new id of 128 random bits as 22 URL-safe characters."""
    return _text(entropy(16))


def new_session_id(partition: int, entropy: Entropy = secrets.token_bytes) -> str:
    """A new session id whose records go to this partition (0 to 65535)."""
    if not 0 <= partition < 65536:
        raise ValueError("partition out of range")
    return f"{partition:02x}.{random_id(entropy)}"


def partition_of(session_id: str) -> int:
    """The partition in a session id; `ValueError` if it is not one."""
    found = _SESSION.match(session_id)
    if not found:
        raise ValueError("not a session id")
    return int(found[1], 16)


def derived_id(secret: bytes, *parts: str | int) -> str:
    """22 characters that only the holder of the secret can foretell, the same for the same parts (architecture §4.4)."""
    return _text(derived_bytes(secret, *parts)[:16])


def derived_bytes(secret: bytes, *parts: str | int) -> bytes:
    """32 bytes: an HMAC-SHA-256 over the parts, each with its length, so that no two lists of parts look alike."""
    raws = [str(part).encode() for part in parts]
    return hmac.digest(secret, b"".join([len(raw).to_bytes(4, "big") + raw for raw in raws]), "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
