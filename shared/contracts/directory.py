"""`directory.tokens`, `directory.events`, `executor.revocations`, `executor.keys`: who is who, and what ended. Owned by executor."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, Micros, Plain, ShortText, open_enum


class TokenChanged(Contract):
    """What a bearer token may do; the key is the SHA-256 of the token in hex, never the token."""

    wire_type: ClassVar[str] = "directory.token.changed"
    hash: ShortText
    user: Count
    username: ShortText
    is_superuser: bool
    is_active: bool
    expires_us: Micros | None = None


class UserChanged(Contract):
    """Something happened to a user. `what` says what; `facts` are names and flags of it, never a secret."""

    wire_type: ClassVar[str] = "directory.user.changed"
    user: Count
    what: Annotated[
        ShortText,
        open_enum(
            "created",
            "changed",
            "disabled",
            "enabled",
            "deleted",
            "password_set",
            "logged_in",
            "logged_out",
            "login_failed",
            "locked",
            "unlocked",
            "identifier_shared",
        ),
    ]
    at_us: Micros
    epoch: Count = 0
    session: ShortText = ""
    transition: ShortText = ""
    facts: Plain = {}


class LoginRevoked(Contract):
    """A login, or all logins of a user below an epoch, are over. Kept for an hour: a login older than an edge's last
    look-up is looked up (architecture §4.13). `what`: `login` (id in `login`) or `user` (all below `epoch`)."""

    wire_type: ClassVar[str] = "executor.login.revoked"
    what: Literal["login", "user"]
    login: ShortText = ""
    user: Count
    epoch: Count = 0
    reason: ShortText = ""
    at_us: Micros


class KeyPublished(Contract):
    """The public half of an epoch key; answers are sealed to the newest one that is not over."""

    wire_type: ClassVar[str] = "executor.key.published"
    epoch: ShortText
    public: Annotated[bytes, Field(min_length=32, max_length=32)]
    made_us: Micros
    seal_until_us: Micros
    open_until_us: Micros


TOKENS_CODEC = Codec((TokenChanged,))
EVENTS_CODEC = Codec((UserChanged,))
REVOCATIONS_CODEC = Codec((LoginRevoked,))
KEYS_CODEC = Codec((KeyPublished,))
