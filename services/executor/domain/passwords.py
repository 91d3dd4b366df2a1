"""What a password is and what a hash of one looks like; the hashing itself is an adapter's.

No strength rule here: that is a policy's. Only what would be no password, or would cost too much, is refused.
"""

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from shared.kernel.errors import SluiceError

MAX_BYTES: Final = 1024  # of UTF-8, as typed (row H42)

# More than anybody configures on purpose, less than what would stall a worker for longer than a step may take.
MAX_MEMORY_KIB: Final = 256 * 1024
MAX_PASSES: Final = 16
MAX_WORK_KIB: Final = 1024 * 1024  # memory x passes
MAX_LANES: Final = 16
MAX_ITERATIONS: Final = 3_000_000
MIN_SALT: Final = 8
MAX_FIELD: Final = 128  # bytes of salt or digest

_ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,4}),p=([0-9]{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)\Z")
_PBKDF2 = re.compile(r"pbkdf2_sha256\$([0-9]{1,8})\$([!-#%-~]{1,128})\$([A-Za-z0-9+/]+={0,2})\Z")


class BadPassword(SluiceError):
    """Something that cannot be a password; refused before it is hashed."""

    code = "E_PASSWORD"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one argon2id hash takes: passes over the memory, memory in KiB, lanes (RFC 9106 §3.1)."""

    passes: int
    memory_kib: int
    lanes: int = 1


TARGET: Final = Cost(passes=2, memory_kib=19 * 1024)
"""OWASP's profile: 19 MiB, t=2, p=1; 21 to 29 ms on one core."""
TEST_TARGET: Final = Cost(passes=1, memory_kib=8)
"""Nearly free, worthless as protection: to measure everything else (`SLUICE_HASH_TEST_COST`)."""


@dataclass(frozen=True, slots=True)
class Argon2Hash:
    """An argon2id hash in PHC string format; only what parses completely and is affordable."""

    text: str
    cost: Cost

    def is_below(self, target: Cost) -> bool:
        """Whether guessing this one is cheaper than it should be."""
        mine, wanted = self.cost, target
        return mine.memory_kib < wanted.memory_kib or mine.memory_kib * mine.passes < wanted.memory_kib * wanted.passes


@dataclass(frozen=True, slots=True)
class Pbkdf2Hash:
    """A PBKDF2-HMAC-SHA-256 hash in Django's format."""

    text: str
    iterations: int
    salt: bytes
    digest: bytes

    def is_below(self, target: Cost) -> bool:
        """Always: no PBKDF2 costs an attacker what argon2id does."""
        return True


PasswordHash = Argon2Hash | Pbkdf2Hash


def parse_hash(text: str) -> PasswordHash | None:
    """The hash in this text, None if it is anything else; so a password that begins like a hash stays a password."""
    found = _ARGON2ID.match(text)
    if found:
        return _argon2(text, int(found[1]), int(found[2]), int(found[3]), found[4], found[5])
    found = _PBKDF2.match(text)
    return _pbkdf2(text, int(found[1]), found[2], found[3]) if found else None


def _argon2(text: str, memory: int, passes: int, lanes: int, salt: str, digest: str) -> Argon2Hash | None:
    sizes = [_size(salt), _size(digest)]
    affordable = 1 <= passes <= MAX_PASSES and 1 <= lanes <= MAX_LANES and 8 * lanes <= memory <= MAX_MEMORY_KIB
    if not affordable or memory * passes > MAX_WORK_KIB or sizes[0] < MIN_SALT or sizes[1] < 16 or max(sizes) > MAX_FIELD:
        return None
    return Argon2Hash(text, Cost(passes, memory, lanes))


def _pbkdf2(text: str, iterations: int, salt: str, digest: str) -> Pbkdf2Hash | None:
    try:
        raw = base64.b64decode(digest, validate=True)
    except binascii.Error:
        return None
    if not 1 <= iterations <= MAX_ITERATIONS or len(raw) != 32:
        return None
    return Pbkdf2Hash(text, iterations, salt.encode(), raw)


def _size(unpadded: str) -> int:
    """Bytes in base64 without padding, 0 if it is not the canonical text of any."""
    try:
        raw = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error:
        return 0
    return len(raw) if base64.b64encode(raw).rstrip(b"=") == unpadded.encode() else 0


def normalised(password: str) -> str:
    """The form that is hashed (NFKC: NIST SP 800-63B-4 §3.1.1.2), so that keyboards and systems agree.

    Raises:
        BadPassword: empty, more than 1,024 bytes, a NUL, or no text.
    """
    if not password:
        raise BadPassword("empty")
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise BadPassword("no text") from None
    if size > MAX_BYTES:
        raise BadPassword("too long")
    if "\0" in password:
        raise BadPassword("NUL")
    return unicodedata.normalize("NFKC", password)
