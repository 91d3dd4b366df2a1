"""The public halves of the workers' epoch keys, as `executor.keys` tells them, and how an edge seals answers to the newest
(architecture §4.10)."""

from typing import Final, Protocol

from services.executor.common import sealing
from shared.contracts.directory import KEY_OPEN_US, KEY_SEAL_US, KEY_SKEW_US, KEYS_CODEC, KeyPublished
from shared.contracts.errors import BadRange
from shared.contracts.steps import Sealed
from shared.contracts.topics import KEYS
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Followed, Projection
from shared.web.errors import Refusal

KEPT: Final = 64  # keys; a worker's start makes one, the clock one in five minutes


class SealingKeys(Followed):
    """Knows the keys that may be sealed to now."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._keys: dict[str, KeyPublished] = {}
        self._clock = clock
        super().__init__(Projection(log, KEYS, self._apply, dead_letters, clock))

    def current(self) -> KeyPublished | None:
        """The newest key that may be sealed to now; None if there is none, then nothing secret can be taken."""
        now = self._clock.now_us()
        usable = [key for key in self._keys.values() if key.made_us <= now + KEY_SKEW_US and key.seal_until_us > now]
        return max(usable, key=lambda key: (key.made_us, key.epoch), default=None)

    def age(self) -> float | None:
        """Seconds since the key that is sealed to was made; None without one."""
        key = self.current()
        return None if key is None else max(0, self._clock.now_us() - key.made_us) / 1e6

    def _apply(self, record: Record) -> None:
        if record.value is None:
            self._keys.pop((record.key or b"").decode(errors="replace"), None)
            return
        body = KEYS_CODEC.decode(record).body
        if isinstance(body, KeyPublished):
            _refuse_unbounded(body, record.timestamp_ms * 1000)
            self._keys[body.epoch] = body
            while len(self._keys) > KEPT:
                del self._keys[min(self._keys, key=lambda epoch: self._keys[epoch].made_us)]


def _refuse_unbounded(key: KeyPublished, appended_us: int) -> None:
    """`BadRange` for a key from the future or one that would stay: no record may outlast the keys that come after it."""
    if key.made_us > appended_us + KEY_SKEW_US:
        raise BadRange("made_us: after it was told")
    if not key.made_us < key.seal_until_us <= min(key.made_us + KEY_SEAL_US, key.open_until_us):
        raise BadRange("seal_until_us")
    if key.open_until_us > key.made_us + KEY_OPEN_US:
        raise BadRange("open_until_us")


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
