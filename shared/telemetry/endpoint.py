"""The Prometheus endpoint: its own listener on loopback, so that no route of the visitors' port can lead to it."""

from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

ROUTE: Final = "/metrics"


class MetricsEndpoint:
    """Serves `GET /metrics` of one registry."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; `OSError` if the address is taken."""
        app = web.Application()
        app.router.add_get(ROUTE, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except BaseException:
            await self.stop()
            raise

    @property
    def port(self) -> int:
        """The port that is listened on (0 asks the system for one)."""
        return int(self._runner.addresses[0][1]) if self._runner and self._runner.addresses else self._port

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})
