"""A visitor over HTTPS from an address that is nobody else's on this machine, with cookies and forms as browsers have them."""

import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

VISITOR: Final = "127.0.0.9"
"""Where visitors come from. Fronts come from 127.0.0.1, which Sluice trusts."""
FORM: Final = "application/x-www-form-urlencoded"
TIMEOUT_S: Final = 60.0
LIMIT: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Header names in lower case; cookies as their lines."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """One browser. `base` is the path under which it sees Sluice; what leads out of it is an error."""

    def __init__(self, port: int, context: ssl.SSLContext, base: str = "") -> None:
        self.base = base
        self.host = f"localhost:{port}"
        self.origin = f"https://{self.host}"
        self._port = port
        self._context = context
        self.jar: dict[tuple[str, str], str] = {}

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        """One request; again where a 503 says so, as browsers are told to."""
        deadline = time.monotonic() + TIMEOUT_S
        while (answer := self._ask(method, path, headers or {}, body)).status == 503 and "retry-after" in answer.headers:
            assert time.monotonic() < deadline, answer
            time.sleep(int(answer.headers["retry-after"]))
        return answer

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        sent = "; ".join(f"{name}={value}" for (name, where), value in self.jar.items() if path.startswith(where))
        made = http.client.HTTPSConnection("localhost", self._port, timeout=TIMEOUT_S, context=self._context, source_address=(VISITOR, 0))
        try:
            made.request(
                method, path, body, {"Host": self.host, "Accept": "text/html,*/*", **({"Cookie": sent} if sent else {}), **headers}
            )
            got = made.getresponse()
            lines = tuple(got.headers.get_all("Set-Cookie") or ())
            answer = Answer(got.status, {name.lower(): value for name, value in got.headers.items()}, lines, got.read())
        finally:
            made.close()
        for line in lines:
            self._keep(line)
        return answer

    def _keep(self, line: str) -> None:
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        where = next(one[5:] for one in attributes if one.startswith("Path="))
        assert "Secure" in attributes, line
        assert where.startswith(self.base) or name.startswith("__Host-"), line
        if "Max-Age=0" in attributes:
            self.jar.pop((name, where), None)
        else:
            self.jar[name, where] = value

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[str, Answer]:
        """GET, and on where redirects and pages that go on by themselves lead, as far as they lead to Sluice; where that is, and what is there."""
        for _ in range(LIMIT):
            answer = self.ask("GET", path, headers)
            onward = answer.headers.get("location") or answer.headers.get("refresh", "").partition("url=")[2]
            if not onward:
                return path, answer
            there = urlsplit(onward)
            assert there.netloc in ("", self.host), onward
            path = onward.removeprefix(self.origin)
            assert path.startswith(f"{self.base}/"), path
            if answer.headers.get("refresh", "").startswith(("1;", "2;")):
                time.sleep(1)
        raise AssertionError(f"no end of redirects at {path}")

    def send(self, page: Answer, headers: Mapping[str, str] | None = None, **fields: str) -> tuple[str, Answer]:
        """Fill in and send the form of a page; where it leads."""
        action = unescape(re.search(r'<form method="post" action="([^"]*)"', page.text)[1])  # type: ignore[index]
        hidden = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)}
        body = urlencode({**hidden, **fields}).encode()
        answer = self.ask("POST", action, {"Content-Type": FORM, "Origin": self.origin, **(headers or {})}, body)
        onward = answer.headers.get("location") or answer.headers.get("refresh", "").partition("url=")[2]
        return self.open(onward, headers={}) if onward else (action, answer)

    def log_in(self, name: str, password: str) -> Answer:
        """By the forms, from the front page; the page at which it ends."""
        _, asked = self.open(f"{self.base}/")
        _, asked = self.send(asked, uid_field=name)
        _, done = self.send(asked, password=password)
        return done

    def who(self) -> str | None:
        """The name of who is logged in."""
        answer = self.ask("GET", f"{self.base}/api/v3/core/users/me/")
        return str(answer.json()["user"]["username"]) if answer.status == 200 else None
