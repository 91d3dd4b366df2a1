"""Seals answers to the workers' newest epoch key (architecture §4.10)."""

from typing import Protocol

from services.executor import sealing
from shared.contracts.directory import KeyPublished
from shared.contracts.steps import Sealed
from shared.kernel.errors import Unavailable
from shared.web.errors import Refusal


class Keys(Protocol):
    """The tail of `executor.keys`."""

    def current(self) -> KeyPublished | None:
        """The newest key that may be sealed to now, None if none is known."""
        ...


class EpochSealer:
    """See `steps.Sealer`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, session: str, command: str, body: bytes) -> Sealed:
        """The body in a box for this session and command."""
        key = self._keys.current()
        if key is None:
            raise Unavailable("no epoch key to seal to")
        if len(body) > sealing.MAX_BODY:
            raise Refusal(413, "body_too_large", size=len(body))
        return sealing.seal(key.public, key.epoch, session, command, body)
