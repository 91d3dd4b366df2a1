"""Where a browser sees us: at a host's root, or under a path that a front has for us (`/auth`).

The application's routes begin at the root in any case. On the way in the guard takes the path off (`inner`); whoever writes
an own path for a browser, a link, a redirect, a cookie's path, puts it before it again by `ours`.
"""

from contextvars import ContextVar
from typing import Final

from aiohttp import web
from yarl import URL

_BASE: ContextVar[str] = ContextVar("base path", default="")
_OWN_TARGETS: Final = ("/if/", "/flows/-/")
_OWN_LINKS: Final = ("/if/", "/flows/-/", "/static/")


def enter(base: str) -> None:
    """Say for the request at hand under which path its browser sees us, "" for the root."""
    _BASE.set(base)


def ours(path: str) -> str:
    """A path of our own as the browser of the request at hand has to write it."""
    return _BASE.get() + path


def target(to: str) -> str:
    """Where a run sends its browser. A visitor's `next` is a path as the browser has it, ours or another application's; the
    defaults of ours that stand for it are not, nor is our own page when somebody wrote it as if we were at the root."""
    base = _BASE.get()
    if not base or to == base or to.startswith(f"{base}/"):
        return to
    return base + to if to.partition("?")[0].partition("#")[0] == "/" or to.startswith(_OWN_TARGETS) else to


def linked(url: str) -> str:
    """A link for this browser: to a page or file of ours as it has to be written here, any other as it is."""
    return ours(url) if url.startswith(_OWN_LINKS) else url


async def with_slash(request: web.Request) -> str | None:
    """Where a page is that somebody has typed without its last slash, as the browser has to write it; None if there is none."""
    path = request.rel_url.raw_path
    if path == _BASE.get():
        return f"{path}/"
    if path.endswith("/") or path.startswith("/api/"):
        return None
    query = request.rel_url.raw_query_string
    there = URL.build(path=f"{path}/", query_string=query, encoded=True)
    match = await request.app.router.resolve(request.clone(rel_url=there))
    return None if match.http_exception is not None else ours(str(there))


async def inner(request: web.Request, base: str) -> web.Request:
    """The request as the application's routes know it: `base` taken off its path. A front may have done so already."""
    path = request.rel_url.raw_path
    if not base or not path.startswith(f"{base}/"):
        return request
    rest = URL.build(path=path[len(base) :], query_string=request.rel_url.raw_query_string, encoded=True)
    found = request.clone(rel_url=rest)
    match = await request.app.router.resolve(found)
    match.add_app(request.app)
    match.freeze()
    found._match_info = match  # aiohttp does the same after it has asked its router
    return found
