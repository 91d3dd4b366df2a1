"""A visitor with a cookie jar who speaks the flow protocol in JSON, as README shows it with curl."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from http.cookiejar import CookieJar
from typing import Any, Final
from urllib.parse import urlencode

TIMEOUT_S: Final = 60.0
_HIDDEN: Final = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')
PATIENCE_S: Final = 60.0
AUTHENTICATION: Final = "default-authentication-flow"
INVALIDATION: Final = "default-invalidation-flow"


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer of a redirect chain."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Visitor:
    """One browser; `base_url` may be set anew when the server has moved."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.jar = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))

    def ask(self, path: str, body: Any = None, token: str = "") -> Answer:
        """GET, or POST if there is a body, with a bearer token if one is given; redirects are followed."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", **({} if data is None else {"Content-Type": "application/json"})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.base_url + path, data, headers)  # noqa: S310 -- base_url is ours
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return Answer(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.read().decode(), dict(refused.headers))

    def hang_up(self, component: str, flow: str = AUTHENTICATION, **fields: Any) -> None:
        """Send an answer, and be gone before the reply comes: nothing of it is seen, no cookie taken."""
        request = urllib.request.Request(self.base_url + _path(flow))  # noqa: S310 -- base_url is ours
        self.jar.add_cookie_header(request)
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Cookie": request.get_header("Cookie") or ""}
        connection = HTTPConnection(self.base_url.removeprefix("http://"), timeout=TIMEOUT_S)
        connection.request("POST", _path(flow), json.dumps({"component": component, **fields}), headers)
        connection.close()

    def send_form(self, path: str, **fields: str) -> str:
        """Fill in the form that a page shows and send it, as a browser does; where that leads, with the query."""
        hidden = {name: unescape(value) for name, value in _HIDDEN.findall(self.patiently(path).body)}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.base_url}
        request = urllib.request.Request(self.base_url + path, urlencode({**hidden, **fields}).encode(), headers)  # noqa: S310 -- base_url is ours
        with self._opener.open(request, timeout=TIMEOUT_S) as answer:
            return str(answer.geturl()).removeprefix(self.base_url)

    def patiently(self, path: str, body: Any = None, token: str = "") -> Answer:
        """`ask`, and again when a 503 says to: what was sent counts once, and a slow machine answers late, not wrong."""
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self.ask(path, body, token)).status == 503 and "Retry-After" in answer.headers:
            assert time.monotonic() < deadline, answer
            time.sleep(int(answer.headers["Retry-After"]))
        return answer

    def challenge(self, flow: str = AUTHENTICATION) -> Any:
        """The current challenge of a flow."""
        return self.patiently(_path(flow)).json()

    def answer(self, component: str, flow: str = AUTHENTICATION, **fields: Any) -> Any:
        """Answer the current challenge; the next one."""
        return self.patiently(_path(flow), {"component": component, **fields}).json()

    def identify(self, name: str) -> Any:
        """The first step of a login; the challenge that follows."""
        assert self.challenge()["component"] == "ak-stage-identification"
        return self.answer("ak-stage-identification", uid_field=name)

    def log_in(self, name: str, password: str) -> Any:
        """A whole login; the last challenge, `xak-flow-redirect` when it succeeded."""
        assert self.identify(name)["component"] == "ak-stage-password"
        return self.answer("ak-stage-password", password=password)

    def who(self) -> str | None:
        """The name of the user that this browser is, None for nobody."""
        answer = self.patiently("/api/v3/core/users/me/")
        return str(answer.json()["user"]["username"]) if answer.status == 200 else None


def _path(flow: str) -> str:
    return f"/api/v3/flows/executor/{flow}/?query="
