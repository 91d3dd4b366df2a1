"""Whether what this process signs still counts: on Kafka a service with a key that is over works for nobody, and has to say so."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from shared.contracts.writers import Service
from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError
from shared.kernel.tasks import failure_of
from shared.kernel.variables import variable
from shared.messaging.proof import Proofs
from shared.messaging.trusted import LOOK_S, TrustedKey

SIGNING: Final = variable("signing_key")
TRUSTED: Final = variable("trusted_keys")
WARN_S: Final = 600
"""How long before its end a key is warned about: a rotation whose restart was forgotten."""

_log = logging.getLogger(__name__)


class SigningKeyOver(SluiceError):
    """By the trusted keys as they are now, nobody believes what this process writes; the text says why."""

    code = "E_SIGNING_KEY"
    hint = SIGNING


class OwnKey:
    """The signing key of this process, watched for as long as it runs; see `shared.kernel.service.Service`, of which it has no route."""

    name = "signing"

    def __init__(self, service: Service, proofs: Proofs, clock: Clock) -> None:
        self._service = service
        self._proofs = proofs
        self._clock = clock
        self._fault = ""
        self._warned: int | None = None
        self._chore: asyncio.Task[None] | None = None

    def look(self) -> str:
        """Why the key does not count now; "" if it does. A change is logged once, and so is an end that is near."""
        key, now_ms = self._proofs.own_key(), self._clock.now_us() // 1000
        fault = fault_of(key, self._service, now_ms)
        if fault and fault != self._fault:
            _log.error("%s: %s. Nobody takes what %s writes: give it the key of now and restart it", SIGNING, fault, self._service)
        elif self._fault and not fault:
            _log.warning("%s: it counts again", SIGNING)
        self._fault = fault
        if key is not None and not fault:
            self._warn(key, now_ms)
        return fault

    def _warn(self, key: TrustedKey, now_ms: int) -> None:
        if key.expires_s is None or key.expires_s == self._warned or (left_s := key.expires_s - now_ms // 1000) > WARN_S:
            return
        self._warned = key.expires_s
        _log.warning("%s counts for %d s more: give %s the key of now and restart it before", SIGNING, left_s, self._service)

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The key, asked for by readiness."""
        return {"key": self._hold}

    async def _hold(self) -> None:
        if fault := self.look():
            raise SigningKeyOver(f"{SIGNING}: {fault}")

    async def start(self) -> None:
        """Begin to watch: who asks for readiness never, reads the log."""
        self._chore = asyncio.create_task(self._watch(), name="signing key")

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """Watch no longer."""
        if self._chore is not None:
            self._chore.cancel()
            await asyncio.gather(self._chore, return_exceptions=True)

    def routes(self) -> Iterable[Any]:
        """None."""
        return ()

    def readiness(self) -> Mapping[str, bool]:
        """Nothing beside what `needs` tries."""
        return {}

    def notes(self) -> Mapping[str, object]:
        """See `Service.notes`."""
        return {}

    @property
    def failure(self) -> BaseException | None:
        """Why the watching ended by itself."""
        return failure_of(self._chore)


def fault_of(key: TrustedKey | None, service: Service, now_ms: int) -> str:
    """Why what `service` signs with this key, as the trusted ones have it, is believed by nobody; "" if it is believed."""
    if key is None:
        return f"its public half is not in {TRUSTED}: nobody would believe {service}"
    if key.service != service:
        return f"{TRUSTED} has it as the key of {key.service}, not of {service}"
    if not key.holds_at(now_ms):
        return f"{TRUSTED} says that it does not hold now (nbf {key.not_before_s}, exp {key.expires_s})"
    return ""
