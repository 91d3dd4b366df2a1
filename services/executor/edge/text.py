"""Bytes of ours as the text of a cookie, and back: one value has one spelling."""

import base64
import binascii
from typing import Final

from shared.web.keyring import MAC_BYTES

MAX_VALUE: Final = 3000


def text_of(raw: bytes) -> str:
    """The text of these bytes: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw_of(value: str, longest: int = MAX_VALUE) -> bytes | None:
    """The bytes, None for what cannot be one of our values."""
    if not value or len(value) > longest:
        return None
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # Unused bits and padding must be as we write them.
    return raw if len(raw) > MAC_BYTES and text_of(raw) == value else None
