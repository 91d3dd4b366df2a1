"""Whose signatures count: the public keys of the services in one file, a JWK set (RFC 7517, RFC 8037).

Each key is `{"kty": "OKP", "crv": "Ed25519", "x": …, "kid": …, "service": …}`, with `nbf` and `exp` (RFC 7519's NumericDate,
seconds) where it does not hold for ever. Validity is judged at the broker's append time, so what was signed in time stays good.
"""

import base64
import binascii
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.contracts.writers import SERVICES, Service
from shared.kernel.clock import Clock

KEY_ID: Final = 8
"""Bytes of a key's name inside a proof: the beginning of its thumbprint (RFC 7638)."""
MAX_KEYS: Final = 256
MAX_BYTES: Final = 256 * 1024
LOOK_S: Final = 1.0
"""How often the file is looked at, at most: a key that was added counts from then on without a restart, one taken out no more."""

_log = logging.getLogger(__name__)


class BadKeys(ValueError):
    """The file is not a set of the services' public keys; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A service's public key, good for records appended from `not_before_s` on and before `expires_s`."""

    service: Service
    public: Ed25519PublicKey
    not_before_s: int | None = None
    expires_s: int | None = None

    @property
    def id(self) -> bytes:
        """What proofs call it."""
        return key_id(self.public.public_bytes_raw())

    def holds_at(self, at_ms: int) -> bool:
        """Whether a record appended then may be signed by it."""
        after = self.not_before_s is None or at_ms >= self.not_before_s * 1000
        return after and (self.expires_s is None or at_ms < self.expires_s * 1000)


class TrustedKeys:
    """The keys of a file, read again when it changes. A file that has become unreadable leaves what was read before."""

    def __init__(self, keys: Iterable[TrustedKey], path: Path | None = None, clock: Clock | None = None) -> None:
        self._keys = {key.id: key for key in keys}
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path) if path else None
        self._looked = clock.monotonic() if clock else 0.0

    @classmethod
    def of_file(cls, path: Path, clock: Clock) -> "TrustedKeys":
        """Read the file; `BadKeys` or `OSError`."""
        return cls(read_keys(path), path, clock)

    def find(self, identity: bytes) -> TrustedKey | None:
        """The key that proofs call so."""
        if self._path is not None and self._clock is not None and self._clock.monotonic() - self._looked >= LOOK_S:
            self._looked = self._clock.monotonic()
            self._look(self._path)
        return self._keys.get(identity)

    def of(self, service: Service) -> tuple[TrustedKey, ...]:
        """All keys of a service."""
        return tuple(key for key in self._keys.values() if key.service == service)

    def _look(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp in (None, self._stamp):
            return
        try:
            self._keys = {key.id: key for key in read_keys(path)}
        except (BadKeys, OSError) as error:
            _log.error("SLUICE_TRUSTED_KEYS changed and cannot be read, the keys of before stay: %s", error)
        else:
            _log.warning("SLUICE_TRUSTED_KEYS changed: %d keys", len(self._keys))
        self._stamp = stamp


def key_id(public: bytes) -> bytes:
    """How a proof names this public key: short, for it only finds; what proves is the signature."""
    return base64.urlsafe_b64decode(thumbprint(public) + "=")[:KEY_ID]


def thumbprint(public: bytes) -> str:
    """The key's JWK thumbprint (RFC 7638, RFC 8037 appendix A.3)."""
    return _text(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{_text(public)}"}}'.encode()).digest())


def as_jwk(key: TrustedKey) -> dict[str, Any]:
    """The key as the file has it."""
    raw = key.public.public_bytes_raw()
    told = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": _text(raw), "kid": thumbprint(raw), "service": key.service}
    return told | {name: at for name, at in (("nbf", key.not_before_s), ("exp", key.expires_s)) if at is not None}


def read_keys(path: Path) -> tuple[TrustedKey, ...]:
    """The keys in a file; `BadKeys` with what is wrong, `OSError` if it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise BadKeys(f"larger than {MAX_BYTES} bytes")
    try:
        told = json.loads(raw, object_pairs_hook=_named_once)
    except (ValueError, RecursionError) as error:
        raise BadKeys(error if isinstance(error, BadKeys) else "not JSON") from None
    keys = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise BadKeys(f"wanted is a JWK set with 1 to {MAX_KEYS} keys")
    found = tuple(_key(number, one) for number, one in enumerate(keys, 1))
    if len({key.id for key in found}) < len(found):
        raise BadKeys("a key is in it twice")
    return found


def _key(number: int, told: Any) -> TrustedKey:
    if not isinstance(told, dict) or told.get("kty") != "OKP" or told.get("crv") != "Ed25519":
        raise BadKeys(f'key {number}: wanted is "kty": "OKP", "crv": "Ed25519"')
    if "d" in told:
        raise BadKeys(f"key {number}: holds a private half, which belongs to its service alone")
    if told.get("service") not in SERVICES:
        raise BadKeys(f'key {number}: "service" is one of {", ".join(SERVICES)}')
    start, end = _date(number, told, "nbf"), _date(number, told, "exp")
    if start is not None and end is not None and end <= start:
        raise BadKeys(f'key {number}: "exp" is not after "nbf"')
    try:
        raw = base64.b64decode(str(told.get("x")) + "=", altchars=b"-_", validate=True)
        public = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        raise BadKeys(f'key {number}: "x" is not an Ed25519 public key') from None
    if _text(raw) != told.get("x") or raw in _ANYBODY_SIGNS_FOR:
        raise BadKeys(f'key {number}: "x" is not an Ed25519 public key')
    return TrustedKey(cast("Service", told["service"]), public, start, end)


def _date(number: int, told: Mapping[str, Any], name: str) -> int | None:
    if name not in told:
        return None
    value = told[name]
    if type(value) not in (int, float) or not 0 <= value < 2**40:
        raise BadKeys(f'key {number}: "{name}" is a number of seconds since 1970')
    return int(value)


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise BadKeys("a name stands twice in one object")
    return named


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        told = os.stat(path)
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


_ANYBODY_SIGNS_FOR: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""Points of small order: a signature under one of these fits any text (RFC 8032 §5.1.7 lets them pass)."""
