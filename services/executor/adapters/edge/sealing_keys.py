"""The public halves of the workers' epoch keys, as `executor.keys` tells them: what an edge seals answers to."""

from typing import Final

from shared.contracts.codec import prove
from shared.contracts.directory import KEYS_CODEC, KeyPublished
from shared.contracts.topics import KEYS
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import ReadableLog, Record
from shared.messaging.projection import Projection

KEPT: Final = 64  # keys; a worker's start makes one, the clock one in five minutes


class SealingKeys:
    """Knows the keys that may be sealed to now."""

    def __init__(self, log: ReadableLog, dead_letters: DeadLetters, clock: Clock) -> None:
        self._keys: dict[str, KeyPublished] = {}
        self._clock = clock
        self._projection = Projection(log, KEYS, self._apply, dead_letters, clock)

    async def start(self) -> None:
        """Begin to read; returns at once."""
        await self._projection.start()

    async def stop(self) -> None:
        """End reading."""
        await self._projection.stop()

    @property
    def failure(self) -> BaseException | None:
        """Why reading ended by itself, None while it goes on."""
        return self._projection.failure

    def current(self) -> KeyPublished | None:
        """The newest key that may be sealed to now; None if there is none, then nothing secret can be taken."""
        now = self._clock.now_us()
        usable = [key for key in self._keys.values() if key.seal_until_us > now]
        return max(usable, key=lambda key: (key.made_us, key.epoch), default=None)

    def _apply(self, record: Record) -> None:
        if record.value is None:
            prove(record)
            self._keys.pop((record.key or b"").decode(errors="replace"), None)
            return
        body = KEYS_CODEC.decode(record).body
        if isinstance(body, KeyPublished):
            self._keys[body.epoch] = body
            while len(self._keys) > KEPT:
                del self._keys[min(self._keys, key=lambda epoch: self._keys[epoch].made_us)]
