"""`/-/health/live/` and `/-/health/ready/`: what an orchestrator asks before it restarts us or sends visitors."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

LIVE: Final = "/-/health/live/"
READY: Final = "/-/health/ready/"
PATHS: Final = (LIVE, READY)


async def _nothing_to_try() -> Mapping[str, str | None]:
    return {}


def _nothing_to_note() -> Mapping[str, object]:
    return {}


def routes(
    readiness: Callable[[], Mapping[str, bool]],
    probe: Callable[[], Awaitable[Mapping[str, str | None]]] = _nothing_to_try,
    notes: Callable[[], Mapping[str, object]] = _nothing_to_note,
) -> tuple[web.RouteDef, ...]:
    """The two routes. `readiness` says by name what has to be true, `probe` what only a try can tell: None, or the reason why a
    visitor would get nothing. 503 while something is not. `notes` are what is wrong for all that: told, and no reason to stay away."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        tried = await probe()
        parts = {**readiness(), **{name: reason is None for name, reason in tried.items()}}
        good = all(parts.values())
        body: dict[str, Any] = {"status": "ok" if good else "not ready", "parts": parts}
        if reasons := {name: reason for name, reason in tried.items() if reason is not None}:
            body["reasons"] = reasons
        if details := notes():
            body["details"] = dict(details)
        return web.json_response(body, status=200 if good else 503)

    return (web.get(LIVE, live), web.get(READY, ready))
