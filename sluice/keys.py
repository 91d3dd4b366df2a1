"""`sluice keys`: what the services sign with, and whom they believe, as files.

`FOLDER/<service>/signing.pem` is one service's alone (0600 in a folder of 0700), `FOLDER/trusted/keys.json` is the same for all.
"""

import json
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from shared.contracts.writers import SERVICES, Service
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.errors import SluiceError
from shared.messaging.trusted import BadKeys, TrustedKey, as_jwk, read_keys, thumbprint
from sluice.console import say

TRUSTED: Final = Path("trusted/keys.json")
PRIVATE: Final = "signing.pem"
OVERLAP_S: Final = 3600
"""How long a replaced key still counts, unless told: its process signs with it until it is started again."""


class KeysRefused(SluiceError):
    """The folder cannot be used as it is; the text says why. Nothing was changed."""

    code = "E_KEYS"


def create(folder: Path) -> None:
    """Make what is missing: a key a service, and the file of all public ones. What is there stays as it is."""
    _make_folder(folder)
    trusted = list(_read(folder))
    for service in SERVICES:
        path = folder / service / PRIVATE
        if path.exists():
            public = _private(path).public_key()
            if public not in [key.public for key in trusted]:
                trusted.append(TrustedKey(service, public))
            _say(service, "there", public.public_bytes_raw())
        else:
            trusted.append(_made(service, path))
            _say(service, "made", trusted[-1].public.public_bytes_raw())
    _write_trusted(folder, trusted)


def rotate(folder: Path, service: Service, overlap_s: int = OVERLAP_S, clock: Clock | None = None) -> None:
    """Give a service a new key. Those of before still count for what is appended during the overlap."""
    now_s = (clock or SystemClock()).now_us() // 1_000_000
    path = folder / service / PRIVATE
    if not path.exists() or not (folder / TRUSTED).exists():
        raise KeysRefused(f"{folder}: there are no keys of {service} yet; `sluice keys create {folder}` makes them")
    kept = [_ending(key, now_s + overlap_s) if key.service == service else key for key in _read(folder)]
    fresh = path.with_suffix(".new")
    made = _made(service, fresh)
    # Readers know the new key before anything is signed by it.
    _write_trusted(folder, [*kept, made])
    fresh.rename(path)
    restart = f"within {overlap_s} s" if overlap_s else "at once: what it writes until then is refused"
    _say(service, f"made; restart it {restart}", made.public.public_bytes_raw())


def _ending(key: TrustedKey, end_s: int) -> TrustedKey:
    return TrustedKey(key.service, key.public, key.not_before_s, min(end_s, key.expires_s or end_s))


def _made(service: Service, path: Path) -> TrustedKey:
    private = Ed25519PrivateKey.generate()
    _write(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return TrustedKey(service, private.public_key())


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysRefused(f"{path}: not an Ed25519 key in PEM")
    return key


def _read(folder: Path) -> tuple[TrustedKey, ...]:
    path = folder / TRUSTED
    try:
        return read_keys(path) if path.exists() else ()
    except (BadKeys, OSError) as error:
        raise KeysRefused(f"{path}: {error}") from None


def _write_trusted(folder: Path, keys: list[TrustedKey]) -> None:
    _write(folder / TRUSTED, (json.dumps({"keys": [as_jwk(key) for key in keys]}, indent=1) + "\n").encode())


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeysRefused(f"{folder}: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    """Whole or not there, for its owner alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    _make_folder(path.parent)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        raise KeysRefused(f"{path}: {error.strerror}") from None


def _say(service: str, what: str, public: bytes) -> None:
    say(f"{service:9} {thumbprint(public)}  {what}")
