"""Sealing: what a visitor sends can be read by a worker, for this step, for a quarter of an hour, and by nobody else.

HPKE (RFC 9180) with X25519, HKDF-SHA256 and ChaCha20-Poly1305. `info` binds a box to session and command, so that it
opens nowhere else; padding hides how long a password is.
"""

import base64
import hmac
import struct
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.contracts.errors import BadSeal
from shared.contracts.steps import Sealed

STEP: Final = 256  # bytes
MAX_BODY: Final = 64 * 1024

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_LENGTH: Final = struct.Struct(">I")


def new_private_key() -> bytes:
    """32 random bytes: the private half of an epoch key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_half(private: bytes) -> bytes:
    """The 32 bytes that may be published."""
    return private_key(private).public_key().public_bytes_raw()


def seal(public: bytes, epoch: str, session: str, command: str, body: bytes) -> Sealed:
    """The body (64 KiB at most) in a box that only the holder of the private half opens, for this session and command."""
    if len(body) > MAX_BODY:
        raise ValueError("a body of more than 64 KiB")
    padded = _LENGTH.pack(len(body)) + body
    padded += bytes(-len(padded) % STEP)
    box = _SUITE.encrypt(padded, _public_key(public), _info(epoch, session, command))
    return Sealed(epoch=epoch, box=box)


@lru_cache(maxsize=16)
def _public_key(public: bytes) -> X25519PublicKey:
    """One is sealed to for five minutes."""
    return X25519PublicKey.from_public_bytes(public)


def private_key(private: bytes) -> X25519PrivateKey:
    """The key of these 32 bytes. Keep it: making it costs as much as opening a box."""
    return X25519PrivateKey.from_private_bytes(private)


def open_sealed(key: X25519PrivateKey, sealed: Sealed, session: str, command: str) -> bytes:
    """What was sealed; `BadSeal` if it was for another session, command or key, or was damaged."""
    try:
        padded = _SUITE.decrypt(sealed.box, key, _info(sealed.epoch, session, command))
    except (InvalidTag, ValueError):  # ValueError: too short, or an encapsulated key of low order
        raise BadSeal from None
    if len(padded) < _LENGTH.size or len(padded) % STEP:
        raise BadSeal
    (length,) = _LENGTH.unpack_from(padded)
    body, padding = padded[_LENGTH.size : _LENGTH.size + length], padded[_LENGTH.size + length :]
    if len(body) != length or len(padding) >= STEP or padding.strip(b"\0"):
        raise BadSeal
    return body


def marking_key(private: bytes) -> bytes:
    """The key of the marks that tell a body again: it goes when the epoch's private half does."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sluice marks 1").derive(private)


def mark(key: bytes, *parts: bytes) -> str:
    """A MAC (HMAC-SHA-256, 128 bits) over these parts, each with its length; 22 characters."""
    framed = b"".join(_LENGTH.pack(len(part)) + part for part in parts)
    return base64.urlsafe_b64encode(hmac.digest(key, framed, "sha256")[:16]).rstrip(b"=").decode()


def _info(epoch: str, session: str, command: str) -> bytes:
    """Each part with its length, so that no two lists of parts look alike."""
    parts = (b"sluice sealed body 1", epoch.encode(), session.encode(), command.encode())
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)
