"""Forms and cookies taken out of a browser and sent by other means: what a thief, a stutter or a forger would send."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import urlencode

from tests.e2e.browser.chromium import Form

TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer; nothing is followed: `location` is where a redirect or a page's refresh would lead. `cookies` are those that it sets, "" for one that it clears."""

    status: int
    location: str
    cookies: Mapping[str, str]
    body: str


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def get(base_url: str, path: str, cookies: Mapping[str, str]) -> Sent:
    """Ask for a page with these cookies."""
    return _sent(base_url + path, None, cookies)


def post(base_url: str, form: Form, cookies: Mapping[str, str], **fields: str) -> Sent:
    """Send a form with these cookies; `fields` replace its own."""
    return _sent(base_url + form.target, urlencode({**form.fields, **fields}).encode(), cookies)


def _sent(url: str, body: bytes | None, cookies: Mapping[str, str]) -> Sent:
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 -- url is ours
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            return _read(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as other:
        with other:
            return _read(other.code, other.headers, other.read())


def _read(status: int, headers: Message, body: bytes) -> Sent:
    jar = SimpleCookie()
    for line in headers.get_all("Set-Cookie", []):
        jar.load(line)
    location = headers.get("Location") or headers.get("Refresh", "").partition("url=")[2]
    return Sent(status, location, {name: one.value for name, one in jar.items()}, body.decode())
