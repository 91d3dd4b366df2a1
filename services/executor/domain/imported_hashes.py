"""Hashes that come with users from another system: which are taken over, which are refused and why.

A hash that is not understood must not be taken for a password: whoever has read the old system's database could log in by
typing it. So what is a complete hash of a known kind is one or is refused; everything else is a password.
"""

import re
from typing import Final

from services.executor.domain.passwords import MAX_ITERATIONS, PasswordHash, parse_hash
from shared.kernel.errors import SluiceError

TAKEN: Final = "argon2id, pbkdf2_sha256 and pbkdf2_sha1"

_BASE64: Final = r"[A-Za-z0-9+/]{16,200}={0,2}\Z"
_UNUSABLE = re.compile(r"!(?:[A-Za-z0-9]{40})?\Z")  # what Django keeps where there is no password
_ITERATIONS = re.compile(r"pbkdf2_[a-z0-9]{1,10}\$([0-9]{1,20})\$[!-#%-~]{1,200}\$" + _BASE64)
_COMPLETE: Final = (
    re.compile(r"(?:argon2)?\$argon2(?:id|i|d)\$(?:v=[0-9]{1,4}\$)?[a-z0-9=,]{1,60}\$[A-Za-z0-9+/]{1,200}\$" + _BASE64),
    re.compile(r"(?:bcrypt(?:_sha256)?\$)?\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}\Z"),
    re.compile(r"scrypt\$[0-9]{1,20}\$[!-#%-~]{1,200}\$[0-9]{1,20}\$[0-9]{1,20}\$" + _BASE64),
    re.compile(r"(?:unsalted_)?(?:md5|sha1)\$[!-#%-~]{0,200}\$[0-9a-f]{32,40}\Z"),
    re.compile(r"\$(?:1|5|6|7|y|gy|apr1|P|H|S|scrypt|pbkdf2[a-z0-9-]{0,10}|bcrypt-sha256)\$[!-~]{20,300}\Z"),
    re.compile(r"\{(?:S?SHA[0-9]{0,3}|S?MD5|CRYPT|PBKDF2[A-Z0-9_-]{0,10}|ARGON2|BCRYPT)\}[!-~]{16,300}\Z", re.IGNORECASE),
)


class HashRefused(SluiceError):
    """A hash that cannot be taken over; the text says why."""

    code = "E_HASH_REFUSED"


def is_unusable(text: str) -> bool:
    """Whether this says that the user has no password."""
    return _UNUSABLE.match(text) is not None


def hash_in(text: str) -> PasswordHash | None:
    """The hash that this text is; None for a password. `HashRefused` for a hash that we do not take over.

    Whoever made it hashed what was typed; ours are no exception, since nobody can see whose an argon2id hash is.
    """
    if found := parse_hash(text, as_typed=True):
        return found
    if (asked := _ITERATIONS.match(text)) and int(asked[1]) > MAX_ITERATIONS:
        raise HashRefused(f"This hash asks for {asked[1]} iterations, at most {MAX_ITERATIONS} are taken.")
    if asked or any(pattern.match(text) for pattern in _COMPLETE):
        raise HashRefused(f"This is a hash that cannot be taken over: only {TAKEN} of an affordable cost can. Leave the password empty.")
    return None
