"""Proofs and seals made with `SLUICE_SECRET_KEY`: the first key of the ring makes, all of them read, so that keys can be changed.

Every purpose has its own keys, derived with HKDF-SHA-256 (RFC 5869), so that a proof made for one cookie is worth
nothing as another.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAC_BYTES: Final = 24


class KeyRing:
    """The keys of one purpose."""

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        if not secrets or any(len(one) < 16 for one in secrets):
            raise ValueError("a key ring needs secrets of at least 16 bytes")
        self._keys = tuple(_derived(one, purpose) for one in secrets)
        self._ciphers = tuple(AESSIV(_derived(one, f"{purpose}/seal", 64)) for one in secrets)

    def proof(self, *parts: bytes) -> bytes:
        """The proof over these parts by the newest key; each counts with its length, so no two lists look alike."""
        return _mac(self._keys[0], parts)

    def holds(self, proof: bytes, *parts: bytes) -> bool:
        """Whether one of our keys made this proof over these parts."""
        return any(hmac.compare_digest(proof, _mac(key, parts)) for key in self._keys)

    def sealed(self, text: bytes) -> bytes:
        """The text as nobody else can read or make it (AES-SIV, RFC 5297): 16 bytes longer, the same for the same text."""
        return self._ciphers[0].encrypt(text, None)

    def opened(self, sealed: bytes) -> bytes | None:
        """What one of our keys has sealed; None for anything else."""
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed, None)
            except InvalidTag:
                continue
        return None


def _mac(key: bytes, parts: Sequence[bytes]) -> bytes:
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")[:MAC_BYTES]


def _derived(secret: bytes, purpose: str, length: int = 32) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=b"sluice/" + purpose.encode()).derive(secret)
