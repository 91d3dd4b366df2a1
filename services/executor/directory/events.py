"""What the directory tells the log: records for its outbox, made in the transaction that they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.contracts.codec import encode
from shared.contracts.directory import KeyPublished, LoginRevoked, RevocationsTold, TokenChanged, UserChanged
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.model import Contract
from shared.contracts.topics import DIRECTORY_EVENTS, KEYS, REVOCATIONS, TOKENS
from shared.kernel.ids import random_id
from shared.messaging.log import Message
from shared.telemetry.propagation import current_traceparent

SOURCE: Final = "executor"
_TOLD: Final = "all"

What = Literal[
    "created", "changed", "disabled", "enabled", "deleted", "password_set", "logged_in", "logged_out", "login_failed", "locked", "unlocked",
    "identifier_shared",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is told: the transition of a session, or nothing of the kind (administration)."""

    session: str = ""
    transition: str = ""


def user_changed(
    user: int, what: What, at_us: int, *, epoch: int = 0, cause: Cause = Cause(), facts: Mapping[str, Any] | None = None
) -> Message:
    """A record of `directory.events`."""
    body = UserChanged(
        user=user, what=what, at_us=at_us, epoch=epoch, session=cause.session, transition=cause.transition, facts=dict(facts or {})
    )
    return _message(DIRECTORY_EVENTS, str(user), body, at_us, cause)


def login_revoked(login: str, user: int, at_us: int, reason: str, cause: Cause = Cause()) -> Message:
    """A record of `executor.revocations`: this login is over."""
    return _message(REVOCATIONS, login, LoginRevoked(what="login", login=login, user=user, reason=reason, at_us=at_us), at_us, cause)


def user_revoked(user: int, epoch: int, at_us: int, reason: str) -> Message:
    """A record of `executor.revocations`: all logins of this user below this epoch are over."""
    return _message(REVOCATIONS, str(user), LoginRevoked(what="user", user=user, epoch=epoch, reason=reason, at_us=at_us), at_us, Cause())


def revocations_told(at_us: int) -> Message:
    """A record of `executor.revocations`: what was committed before stands before it."""
    return _message(REVOCATIONS, _TOLD, RevocationsTold(at_us=at_us), at_us, Cause())


def token_changed(token: TokenChanged, at_us: int) -> Message:
    """A record of `directory.tokens`."""
    return _message(TOKENS, token.hash, token, at_us, Cause())


def token_forgotten(digest: bytes, at_us: int) -> Message:
    """The tombstone of a revoked token that is over by now in any case."""
    headers = to_headers(_envelope(TokenChanged, digest.hex(), at_us, Cause()))
    return Message(TOKENS, 0, digest.hex().encode(), None, headers)


def key_published(key: KeyPublished) -> Message:
    """A record of `executor.keys`."""
    return _message(KEYS, key.epoch, key, key.made_us, Cause())


def _message(topic: str, subject: str, body: Contract, at_us: int, cause: Cause) -> Message:
    headers, value = encode(_envelope(type(body), subject, at_us, cause), body)
    return Message(topic, 0, subject.encode(), value, headers)


def _envelope(model: type[Contract], subject: str, at_us: int, cause: Cause) -> Envelope:
    return Envelope(
        id=random_id(),
        type=model.wire_type,
        version=model.wire_version,
        source=SOURCE,
        subject=subject,
        time_us=at_us,
        causation=cause.transition or None,
        correlation=cause.session or None,
        traceparent=current_traceparent(),
    )
