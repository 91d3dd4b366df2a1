"""Hashes that come with users from another system: which are taken over, which are refused and why.

A hash that is not understood must not be taken for a password: whoever has read the old system's database could log in by
typing it. So a hash that is taken is one, what looks like any other is refused, and everything else is a password.
"""

import re
from typing import Final

from services.executor.rules.hash_shapes import why_a_hash
from services.executor.rules.passwords import MAX_ITERATIONS, PasswordHash, parse_hash
from shared.kernel.errors import SluiceError

TAKEN: Final = "argon2id, pbkdf2_sha256 and pbkdf2_sha1"

_UNUSABLE = re.compile(r"!(?:[A-Za-z0-9]{40})?\Z")  # what Django keeps where there is no password
_ITERATIONS = re.compile(r"pbkdf2_[a-z0-9]{1,10}\$([0-9]{1,20})\$")


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
    if why := why_a_hash(text):
        raise HashRefused(
            f"This looks like a hash ({why}) that cannot be taken over: only {TAKEN} of an affordable cost can. "
            "Leave the password empty. If it is what the user types, give it with `sluice users set-password`."
        )
    return None
