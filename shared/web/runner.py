"""One listener for the routes of one or more services, with the two health routes that orchestrators ask.

`/-/health/live/` says that the process answers; `/-/health/ready/` that traffic may come: everything that any service
names in `readiness` is true (caught up with its topics, its database and the log in reach).
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web

from shared.kernel.errors import SluiceError
from shared.kernel.service import Service
from shared.kernel.settings import Address, variable

LIVE: Final = "/-/health/live/"
READY: Final = "/-/health/ready/"
SHUTDOWN_S: Final = 3.0  # for answers that are being given when the process is asked to stop

AppFactory = Callable[[Iterable[Any]], web.Application]

_log = logging.getLogger(__name__)


def plain_app(routes: Iterable[Any]) -> web.Application:
    """An application with these routes and nothing around them."""
    app = web.Application()
    app.add_routes(routes)
    return app


class AddressTaken(SluiceError):
    """Somebody else listens there, or we may not."""

    code = "E_ADDRESS_TAKEN"


class Listener:
    """The visitors' port."""

    def __init__(self, services: Sequence[Service], make_app: AppFactory, address: Address) -> None:
        routes = [*health_routes(services), *(route for service in services for route in service.routes())]
        self._runner = web.AppRunner(make_app(routes), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        self._wanted = address

    async def start(self) -> None:
        """Listen; `AddressTaken` with the reason if that cannot be."""
        await self._runner.setup()
        with address_free(self._wanted, "listen"):
            await web.TCPSite(self._runner, self._wanted.host, self._wanted.port, backlog=1024).start()
        _log.info("listening", extra={"address": str(self.address)})

    @property
    def address(self) -> Address:
        """Where it listens, with the real port if a free one was wanted."""
        return Address(self._wanted.host, int(self._runner.addresses[0][1])) if self._runner.addresses else self._wanted

    async def stop(self) -> None:
        """Take no more connections, finish what is being answered."""
        await self._runner.cleanup()


def health_routes(services: Sequence[Service]) -> list[web.RouteDef]:
    """The routes that say whether the process lives and whether all of these services are ready."""

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True}, headers=_UNCACHED)

    async def ready(_: web.Request) -> web.Response:
        checks = {f"{service.name}.{name}": value for service in services for name, value in service.readiness().items()}
        return web.json_response(checks, status=200 if all(checks.values()) else 503, headers=_UNCACHED)

    return [web.get(LIVE, live), web.get(READY, ready)]


@contextmanager
def address_free(address: Address, setting: str) -> Iterator[None]:
    """Turn the refusal of the system to listen there into an `AddressTaken` that names the setting."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise AddressTaken(f"cannot listen on {address}: {reason}; {variable(setting)} sets another address") from error


_UNCACHED: Final = {"Cache-Control": "no-store"}
