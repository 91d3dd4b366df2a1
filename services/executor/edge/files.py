"""The few files that pages need, under the paths where authentik has them; the style sheet is ours and named by its hash."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import web

_FOLDER: Final = files("services.executor.edge") / "static"
_SVG: Final = "image/svg+xml"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_A_WEEK: Final = "public, max-age=604800"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    caching: str = _A_WEEK


_CSS: Final = (_FOLDER / "sluice.css").read_bytes()
STYLE: Final = f"/static/dist/sluice-{hashlib.sha256(_CSS).hexdigest()[:16]}.css"
_FILES: Final[Mapping[str, _File]] = {
    STYLE: _File(_CSS, "text/css", _FOR_EVER),
    # The names end as authentik's do; what counts for a browser is the content type.
    "/static/dist/assets/images/flow_background.jpg": _File((_FOLDER / "background.svg").read_bytes(), _SVG),
    "/static/dist/assets/images/user_default.png": _File((_FOLDER / "nobody.svg").read_bytes(), _SVG),
    "/static/dist/assets/icons/icon_left_brand.svg": _File((_FOLDER / "logo.svg").read_bytes(), _SVG),
    "/static/dist/assets/icons/icon.png": _File((_FOLDER / "icon.png").read_bytes(), "image/png"),
}


def routes() -> tuple[web.RouteDef, ...]:
    """One route a file."""
    return tuple(web.get(path, _serve) for path in _FILES)


async def _serve(request: web.Request) -> web.Response:
    found = _FILES[request.path]
    return web.Response(
        body=found.body, content_type=found.content_type, headers={"Cache-Control": found.caching, "Vary": "Accept-Encoding"}
    )
