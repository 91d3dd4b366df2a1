"""`/-/seen/`: what we believe of whoever asks. `sluice doctor URL` compares it with what a browser there would believe.

It tells nobody more than they have sent, or their own connection shows: nothing of others, no setting.
"""

from typing import Final

from aiohttp import web

from shared.web.app import CLIENT
from shared.web.forwarded import FORWARDING

PATH: Final = "/-/seen/"


def routes() -> tuple[web.RouteDef, ...]:
    """The one route."""
    return (web.get(PATH, _seen),)


async def _seen(request: web.Request) -> web.Response:
    client = request[CLIENT]
    spoken = any(name in request.headers for name in FORWARDING)
    front = "trusted" if client.fronted else "not trusted" if spoken else "none"
    place = {"origin": str(client.place), "path": client.prefix}
    return web.json_response({**place, "address": client.address, "front": front, "unread": list(client.unread)})
