"""`directory.tokens`, `directory.events`, `executor.revocations`, `executor.keys`: who is who, and what ended. Owned by executor."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from shared.contracts.codec import Codec
from shared.contracts.model import Contract, Count, Micros, Plain, ShortText, open_enum

KEY_AGE_US: Final = 300_000_000
"""After which an epoch key has a successor, at most."""
KEY_SEAL_AGES: Final = 2
"""For how many such times it is sealed to: so that a round that fails leaves the key of before."""
KEY_OPEN_AGES: Final = 3
"""For how many, what was sealed to it can be opened: what `executor.steps` keeps."""
KEY_SEAL_US: Final = KEY_SEAL_AGES * KEY_AGE_US
KEY_OPEN_US: Final = KEY_OPEN_AGES * KEY_AGE_US
KEY_SKEW_US: Final = 60_000_000
"""How far the clock of who made a key may be ahead of who reads of it."""


class TokenChanged(Contract):
    """What a bearer token may do; the key is the SHA-256 of the token in hex, never the token.

    Of two records of a token the one with the higher `version` is true, whatever their order. A revoked one is not active, and
    such a record stays until the token's expiry: who would copy an older record after it is not believed.
    """

    wire_type: ClassVar[str] = "directory.token.changed"
    hash: ShortText
    user: Count
    username: ShortText
    is_superuser: bool
    is_active: bool
    expires_us: Micros | None = None
    version: Count = 0


class UserChanged(Contract):
    """Something happened to a user. `what` says what; `facts` are names and flags of it, never a secret. A record may come twice, after an
    outage of the broker or of its writer: it has the same id then, and is one event."""

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
    look-up is looked up (architecture §4.13). Most come twice, with one id: told by who ended it, and by the relay. `what`: `login` (id in `login`) or `user` (all below `epoch`)."""

    wire_type: ClassVar[str] = "executor.login.revoked"
    what: Literal["login", "user"]
    login: ShortText = ""
    user: Count
    epoch: Count = 0
    reason: ShortText = ""
    at_us: Micros


class RevocationsTold(Contract):
    """Every revocation that was committed before `at_us` (PostgreSQL's time) stands before this record. Said each second: an edge that
    has heard none for 5 s asks PostgreSQL instead (architecture §4.13)."""

    wire_type: ClassVar[str] = "executor.revocations.told"
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
REVOCATIONS_CODEC = Codec((LoginRevoked, RevocationsTold))
KEYS_CODEC = Codec((KeyPublished,))
