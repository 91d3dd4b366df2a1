"""Proofs made with `SLUICE_SECRET_KEY`: the first key of the ring signs, all of them verify, so that keys can be changed.

Every purpose has its own key, derived with HKDF-SHA-256 (RFC 5869), so that a proof made for one cookie is worth
nothing as another.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAC_BYTES: Final = 24


class KeyRing:
    """The keys of one purpose."""

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        if not secrets or any(len(one) < 16 for one in secrets):
            raise ValueError("a key ring needs secrets of at least 16 bytes")
        self._keys = tuple(_derived(one, purpose) for one in secrets)

    def proof(self, *parts: bytes) -> bytes:
        """The proof over these parts by the newest key; each counts with its length, so no two lists look alike."""
        return _mac(self._keys[0], parts)

    def holds(self, proof: bytes, *parts: bytes) -> bool:
        """Whether one of our keys made this proof over these parts."""
        return any(hmac.compare_digest(proof, _mac(key, parts)) for key in self._keys)


def _mac(key: bytes, parts: Sequence[bytes]) -> bytes:
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")[:MAC_BYTES]


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"sluice/" + purpose.encode()).derive(secret)
