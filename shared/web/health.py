"""`/-/health/live/` and `/-/health/ready/`: what an orchestrator asks before it restarts us or sends visitors."""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

LIVE: Final = "/-/health/live/"
READY: Final = "/-/health/ready/"
PATHS: Final = (LIVE, READY)


def routes(readiness: Callable[[], Mapping[str, bool]]) -> tuple[web.RouteDef, ...]:
    """The two routes. `readiness` says by name what has to be true; 503 while something is not."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        parts = dict(readiness())
        good = all(parts.values())
        return web.json_response({"status": "ok" if good else "not ready", "parts": parts}, status=200 if good else 503)

    return (web.get(LIVE, live), web.get(READY, ready))
