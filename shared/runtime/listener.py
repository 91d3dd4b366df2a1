"""The visitors' port of a process: the routes of its services and their health, behind the guard that all share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from opentelemetry.trace import SpanKind

from shared.kernel.clock import Clock
from shared.kernel.errors import SluiceError
from shared.kernel.service import Service
from shared.runtime import fronts
from shared.runtime.addresses import listening_on
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings
from shared.telemetry.logs import security
from shared.telemetry.propagation import span
from shared.web import health, seen, server
from shared.web.app import make_app
from shared.web.client import Clients
from shared.web.headers import Hsts
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.token_guesses import TokenGuesses

_log = logging.getLogger(__name__)


class Listener:
    """Lets visitors in, once it is started; `waiting` is what a part of the process that is no service waits for, by name."""

    def __init__(
        self, services: Sequence[Service], settings: CommonSettings, clock: Clock, waiting: Callable[[], Mapping[str, bool]] = dict
    ) -> None:
        limits, records = Limits(), SecurityLog(security, clock)
        clients = Clients(
            [str(network) for network in settings.trusted_proxies],
            settings.allowed_hosts,
            source=settings.forwarded_headers,
            path=settings.path,
        )
        guesses = TokenGuesses(clock, settings.attempts_per_address)
        hsts = Hsts(settings.hsts_max_age, subdomains=settings.hsts_subdomains)
        self._waiting = waiting
        self._draining = False
        visited = [route for service in services for route in service.routes()]
        self._drain_s = settings.drain_seconds if visited else 0.0
        routes = [
            *seen.routes(),
            *health.routes(
                lambda: {**waiting(), **readiness(services), **self._staying()},
                lambda: _probed(services, waiting()),
                lambda: _notes(services),
            ),
            *visited,
        ]
        app = make_app(
            routes, limits, records, clients, trace=lambda name: span(name, SpanKind.SERVER, parent=None), hsts=hsts, guesses=guesses
        )
        self._server = server.Listener(app, limits, records)
        self.address = settings.listen
        self._warnings = tuple(fronts.warnings(settings))

    async def start(self) -> None:
        """Listen; `address` then has the real port if a free one was wanted."""
        with listening_on(self.address, "listen"):
            _, port = await self._server.start(*self.address)
        self.address = Address(self.address.host, port)
        for warning in self._warnings:
            _log.warning("%s", warning)

    async def drain(self) -> None:
        """Say that it is not ready, and go on answering until whoever sends visitors has noticed. Where it never was ready, nobody sends any."""
        if self._waiting():
            return
        self._draining = True
        self._server.drain()
        await asyncio.sleep(self._drain_s)

    def _staying(self) -> Mapping[str, bool]:
        return {"staying": False} if self._draining else {}

    async def stop(self) -> None:
        """Take no more connections, finish what is being answered."""
        await self._server.stop()


async def _probed(services: Sequence[Service], waiting: Mapping[str, bool]) -> dict[str, str | None]:
    if waiting:  # nothing of it can be tried yet
        return {}
    tries = {f"{service.name}.{what}": attempt for service in services for what, attempt in service.needs().items()}
    return dict(zip(tries, await asyncio.gather(*map(_reason, tries.values())), strict=True))


async def _reason(attempt: Callable[[], Awaitable[None]]) -> str | None:
    """Why a try failed, by its stable code and where to look: anybody may read it."""
    try:
        await attempt()
    except SluiceError as failure:
        return f"{failure.code}: {failure.hint}" if failure.hint else failure.code
    return None


def _notes(services: Sequence[Service]) -> dict[str, object]:
    return {f"{service.name}.{what}": value for service in services for what, value in service.notes().items()}


def readiness(services: Sequence[Service]) -> dict[str, bool]:
    """What all of these services want to be true before traffic comes, by `service.name`."""
    return {f"{service.name}.{what}": value for service in services for what, value in service.readiness().items()}
