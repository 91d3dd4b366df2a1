"""What a password is and what a hash of one looks like; the hashing itself is an adapter's.

No strength rule here: that is a policy's. Only what would be no password, or would cost too much, is refused.

One form of a password is hashed, and which one, the stored hash says: ours are of the NFKC form; those that another system
made are of what was typed there. Never both: a password that is hashed twice says so by its time.
"""

import base64
import binascii
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

from shared.kernel.errors import SluiceError

MAX_BYTES: Final = 1024  # of UTF-8, as typed

# More than anybody configures on purpose, less than what would stall a worker for longer than a step may take.
MAX_MEMORY_KIB: Final = 256 * 1024
MAX_PASSES: Final = 16
MAX_WORK_KIB: Final = 1024 * 1024  # memory x passes
MAX_LANES: Final = 16
MAX_ITERATIONS: Final = 2_000_000  # Django asks for 1,200,000 in 2025, OWASP for 1,300,000 of SHA-1
MIN_SALT: Final = 8
MAX_FIELD: Final = 128  # bytes of salt or digest
DIGESTS: Final = {"sha256": 32, "sha1": 20}
"""Bytes of a PBKDF2 hash, by digest."""

_ARGON2ID = re.compile(r"(argon2)?(\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,4}),p=([0-9]{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+))\Z")
_PBKDF2 = re.compile(r"pbkdf2_(sha256|sha1)\$([0-9]{1,8})\$([!-#%-~]{1,128})\$([A-Za-z0-9+/]+={0,2})\Z")


class BadPassword(SluiceError):
    """Something that cannot be a password; refused before it is hashed."""

    code = "E_PASSWORD"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one argon2id hash takes: passes over the memory, memory in KiB, lanes (RFC 9106 §3.1)."""

    passes: int
    memory_kib: int
    lanes: int = 1

    @property
    def label(self) -> str:
        """This cost in words that never change."""
        return f"argon2id m={self.memory_kib},t={self.passes},p={self.lanes}"


TARGET: Final = Cost(passes=2, memory_kib=19 * 1024)
"""OWASP's profile: 19 MiB, t=2, p=1; 21 to 29 ms on one core."""
TEST_TARGET: Final = Cost(passes=1, memory_kib=8)
"""Nearly free, worthless as protection: to measure everything else (`SLUICE_HASH_TEST_COST`)."""


@dataclass(frozen=True, slots=True)
class Pbkdf2Cost:
    """What one PBKDF2-HMAC hash takes."""

    digest: str
    iterations: int

    @property
    def label(self) -> str:
        """This cost in words that never change."""
        return f"pbkdf2_{self.digest} {self.iterations}"


Kind = Cost | Pbkdf2Cost
"""What verifying a hash takes, and so all that its time tells."""


@dataclass(frozen=True, slots=True)
class Argon2Hash:
    """An argon2id hash in PHC string format; only what parses completely and is affordable. `as_typed`: another system made
    it, of the password as it was typed there."""

    text: str
    cost: Cost
    as_typed: bool = False

    def is_below(self, target: Cost) -> bool:
        """Whether guessing this one is cheaper than it should be."""
        mine, wanted = self.cost, target
        return mine.memory_kib < wanted.memory_kib or mine.memory_kib * mine.passes < wanted.memory_kib * wanted.passes

    def is_foreign(self, target: Cost) -> bool:
        """Whether it takes so much longer than our own that it may not stand in their way."""
        return self.cost.memory_kib * self.cost.passes > 2 * target.memory_kib * target.passes


@dataclass(frozen=True, slots=True)
class Pbkdf2Hash:
    """A PBKDF2-HMAC hash in Django's format."""

    text: str
    cost: Pbkdf2Cost
    salt: bytes
    digest: bytes

    @property
    def as_typed(self) -> bool:
        """Always: Django hashes what was typed."""
        return True

    def is_below(self, target: Cost) -> bool:
        """Always: no PBKDF2 costs an attacker what argon2id does."""
        return True

    def is_foreign(self, target: Cost) -> bool:
        """Always: none of ours is one."""
        return True


PasswordHash = Argon2Hash | Pbkdf2Hash


def parse_hash(text: str, *, as_typed: bool = False) -> PasswordHash | None:
    """The hash in this text, None if it is anything else; so a password that begins like a hash stays a password.

    `as_typed` is what is known of an argon2id hash beside its text. Django's spelling of one (`argon2$argon2id$...`) says so itself.
    """
    found = _ARGON2ID.match(text)
    if found:
        return _argon2(found[2], Cost(int(found[4]), int(found[3]), int(found[5])), (found[6], found[7]), as_typed or bool(found[1]))
    found = _PBKDF2.match(text)
    return _pbkdf2(text, Pbkdf2Cost(found[1], int(found[2])), found[3], found[4]) if found else None


def kind_of(prefix: str) -> Kind | None:
    """The kind of a hash from its text without the last two fields, which are salt and digest and say nothing of the cost."""
    digests = ("A" * 43, *(base64.b64encode(bytes(size)).decode() for size in DIGESTS.values()))
    found = (parse_hash(f"{prefix}${'A' * 22}${digest}") for digest in digests)
    return next((one.cost for one in found if one is not None), None)


def dummy_of(kind: Kind) -> PasswordHash:
    """A hash of this kind that is nobody's: verifying it takes what one of somebody's takes, for a sure no."""
    salt = base64.b64encode(secrets.token_bytes(15)).decode()
    if isinstance(kind, Pbkdf2Cost):
        return Pbkdf2Hash("", kind, salt.encode(), secrets.token_bytes(DIGESTS[kind.digest]))
    digest = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return Argon2Hash(f"$argon2id$v=19$m={kind.memory_kib},t={kind.passes},p={kind.lanes}${salt}${digest}", kind)


def _argon2(text: str, cost: Cost, fields: tuple[str, str], as_typed: bool) -> Argon2Hash | None:
    salt, digest = (_size(field) for field in fields)
    memory, passes, lanes = cost.memory_kib, cost.passes, cost.lanes
    affordable = 1 <= passes <= MAX_PASSES and 1 <= lanes <= MAX_LANES and 8 * lanes <= memory <= MAX_MEMORY_KIB
    if not affordable or memory * passes > MAX_WORK_KIB or salt < MIN_SALT or digest < 16 or max(salt, digest) > MAX_FIELD:
        return None
    return Argon2Hash(text, cost, as_typed)


def _pbkdf2(text: str, cost: Pbkdf2Cost, salt: str, digest: str) -> Pbkdf2Hash | None:
    try:
        raw = base64.b64decode(digest, validate=True)
    except binascii.Error:
        return None
    if not 1 <= cost.iterations <= MAX_ITERATIONS or len(raw) != DIGESTS[cost.digest]:
        return None
    return Pbkdf2Hash(text, cost, salt.encode(), raw)


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
