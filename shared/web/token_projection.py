"""Who a bearer token is, known from the topic `directory.tokens`: no service has to ask another one, or its database."""

import hashlib
from typing import Final

from shared.contracts.directory import TOKENS_CODEC, TokenChanged
from shared.contracts.topics import TOKENS
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Followed, Projection

STALE_S: Final = 5.0
"""A tail that is older may not know that a token was revoked: then nobody is let in by one (architecture §4.13)."""


class TokenProjection(Followed):
    """All tokens, as hash and owner. Start it before use, stop it at the end."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._tokens: dict[bytes, TokenChanged] = {}
        self._clock = clock
        super().__init__(Projection(log, TOKENS, self._apply, dead_letters, clock))

    def owner(self, token: str) -> TokenChanged | None:
        """The token, if it is known, its user active, and it has not expired; `Unavailable` while nobody can know."""
        if not self.ready or self._projection.fetched_age() > STALE_S:
            raise Unavailable("tokens are not known")
        found = self._tokens.get(_digest(token))
        if found is None or not found.is_active:
            return None
        return None if found.expires_us is not None and found.expires_us <= self._clock.now_us() else found

    def user_of(self, token: str) -> int | None:
        """The number of the user whose token this is, None for a token that is not good."""
        found = self.owner(token)
        return None if found is None else found.user

    def _apply(self, record: Record) -> None:
        if record.value is None:
            self._tokens.pop(record.key or b"", None)
            return
        body = TOKENS_CODEC.decode(record).body
        known = self._tokens.get(record.key or b"")
        if isinstance(body, TokenChanged) and (known is None or body.version >= known.version):
            self._tokens[body.hash.encode()] = body


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()
