"""A picture for a person: two letters on a coloured disc, as a data URI, so that no page has to ask another site for it."""

import base64
import hashlib
from functools import lru_cache
from html import escape
from typing import Final

NOBODY: Final = "/static/dist/assets/images/user_default.png"
_SVG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64"><circle cx="32" cy="32" r="32" fill="{fill}"/>'
    '<text x="50%" y="50%" dy=".35em" fill="#fff" font-family="sans-serif" font-size="28" text-anchor="middle">{letters}</text></svg>'
)
_COLOURS: Final = ("#1f6f54", "#7a3e9d", "#9a3412", "#1d4ed8", "#9d174d", "#4d5b12", "#0f5e73", "#7c2d12")  # all 4.5:1 against white


@lru_cache(maxsize=1024)
def avatar(name: str) -> str:
    """The picture of whoever has this name; a figure without features for nobody."""
    if not name:
        return NOBODY
    words = name.split() or [name]
    letters = (words[0][:1] + words[-1][:1]) if len(words) > 1 else name.strip()[:2]
    fill = _COLOURS[hashlib.sha256(name.encode()).digest()[0] % len(_COLOURS)]
    svg = _SVG.format(fill=fill, letters=escape(letters.upper()))
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
