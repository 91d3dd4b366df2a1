"""A Sluice with one account of every kind, and a stranger who tries a name in it and writes down all that they are answered."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape, unescape
from http.client import HTTPConnection
from json import dumps, loads
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from services.executor.common.avatars import avatar
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, Visitor

COMBINED: Final = "password-on-the-first-page"
TITLED: Final = "title-that-greets"
UNPROVEN: Final = "password-was-deleted"
PASSWORD: Final = "of-all-of-them"
CHEAP: Final = {
    "SLUICE_TEST": "1",
    "SLUICE_HASH_TEST_COST": "1",
    "SLUICE_ATTEMPTS_PER_ADDRESS": "1000000",
    "SLUICE_ATTEMPTS_PER_ACCOUNT": "40",
}


@dataclass(frozen=True)
class Seen:
    """One answer, with what differs from visitor to visitor replaced by its length, and what was typed by a mark."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


class Stranger:
    """A browser without scripts; notes everything that it is answered."""

    def __init__(self, base: str, typed: str) -> None:
        self._address = urlsplit(base).netloc
        self._typed = typed
        self._jar: dict[tuple[str, str], str] = {}  # by name and path
        self.seen: list[Seen] = []

    def page(self, path: str) -> str:
        """GET a page."""
        return self._send("GET", path, {}, b"")

    def submit(self, path: str, page: str, **fields: str) -> str:
        """Send a page's form with its hidden fields; the page that comes of it, redirects followed."""
        hidden = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)}
        return self._send("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode({**hidden, **fields}).encode())

    def json(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GET or POST as a script would."""
        if body is None:
            return loads(self._send("GET", path, {"Accept": "application/json"}, b""))
        return loads(self._send("POST", path, {"Accept": "application/json", "Content-Type": "application/json"}, dumps(body).encode()))

    def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
        for _ in range(12):
            connection = HTTPConnection(self._address, timeout=60)
            jar = [f"{name}={value}" for (name, under), value in self._jar.items() if path.startswith(under)]
            cookies = {"Cookie": "; ".join(jar)} if jar else {}
            origin = {"Origin": f"http://{self._address}"} if method == "POST" else {}
            connection.request(method, path, body or None, {**headers, **cookies, **origin})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            self._note(answer.status, answer.getheaders(), text)
            location = answer.getheader("Location")
            if answer.status not in (302, 303) or not location:
                return text
            method, path, body = "GET", location, b""
        raise AssertionError(f"redirected without end: {self.seen[-6:]}")

    def _note(self, status: int, headers: list[tuple[str, str]], text: str) -> None:
        kept = sorted((name, self._header(name, value)) for name, value in headers)
        self.seen.append(Seen(status, tuple(kept), self._masked(text)))

    def _header(self, name: str, value: str) -> str:
        if name == "Set-Cookie":
            cookie, _, rest = value.partition(";")
            key, _, content = cookie.partition("=")
            self._keep(key, content, rest)
            return f"{key}=<{len(content)}>;{rest}"
        return f"<{len(value)}>" if name in ("Date", "traceparent", "X-Request-Id", "X-authentik-id") else _without_run(value)

    def _keep(self, name: str, value: str, attributes: str) -> None:
        path = re.search(r"Path=([^;]*)", attributes)
        key = (name, path[1] if path else "/")
        if "Max-Age=0" in attributes:
            self._jar.pop(key, None)
        else:
            self._jar[key] = value

    def _masked(self, text: str) -> str:
        typed = self._typed.strip()
        for mark, secret in (("<avatar>", avatar(typed)), ("<typed>", dumps(typed)[1:-1]), ("<typed>", typed), ("<typed>", escape(typed))):
            text = text.replace(secret, mark)
        return re.sub(r'(name="sluice_\w+" value=")([^"]*)"', lambda found: f'{found[1]}<{len(found[2])}>"', _without_run(text))


def _without_run(text: str) -> str:
    """A page's address names its run, which is drawn."""
    return re.sub(r"sluice_run=([\w-]+)", lambda found: f"sluice_run=<{len(found[1])}>", text)


@contextmanager
def zoo(folder: Path) -> Iterator[SluiceUp]:
    """A running Sluice with accounts of all kinds and four flows: the shipped one, one with the password on its first page,
    one whose title greets, and one that logs in but asks for no password."""
    with SluiceUp(folder / "data", CHEAP) as up:
        digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"NaCl", 1000)).decode()
        (folder / "users.csv").write_text(
            "username,email,name,password\n"
            + "".join(f"alice{n},alice{n}@example.org,Alice,{PASSWORD}\n" for n in range(10))
            + f"disabl,disabl@example.org,Dis Abled,{PASSWORD}\n"
            f"locked,locked@example.org,Lo Cked,{PASSWORD}\n"
            f"import,import@example.org,Im Ported,pbkdf2_sha256$1000$NaCl${digest}\n"
            f"shares,shared@example.org,Shares,{PASSWORD}\n"
            f"shares2,SHARED@example.org,Shares Too,{PASSWORD}\n"
            f"greeted,greeted@example.org,Greeted,{PASSWORD}\n"
            "nopass,nopass@example.org,No Pass,\n"
        )
        up.command("users", "import", str(folder / "users.csv"))
        up.command("users", "disable", "disabl")
        _flow(up, COMBINED, combined=True)
        _flow(up, TITLED, title="Welcome, %(user)s!")
        _flow(up, UNPROVEN, title="Welcome, %(user)s!", proving=False)
        yield up


def lock(up: SluiceUp, name: str, guesses: int = 45) -> None:
    """Guess at an account until its limit holds."""
    for _ in range(0, guesses, 4):  # the session's own limit is five
        visitor = Visitor(up.base_url)
        visitor.identify(name)
        for _ in range(4):
            visitor.answer("ak-stage-password", password="wrong")


def _flow(up: SluiceUp, slug: str, *, combined: bool = False, proving: bool = True, title: str = "Welcome") -> None:
    def made(path: str, body: Mapping[str, Any]) -> str:
        answer = Visitor(up.base_url).patiently(f"/api/v3/{path}", body, up.token)
        assert answer.status == 201, answer
        return str(answer.json()["pk"])

    flow = made("flows/instances/", {"name": slug, "slug": slug, "title": title, "designation": "authentication"})
    password = made("stages/password/", {"name": f"{slug}-p", "backends": ["authentik.core.auth.InbuiltBackend"]})
    fields = {"name": f"{slug}-i", "user_fields": ["username", "email"], "show_matched_user": True, "pretend_user_exists": True}
    stages = [made("stages/identification/", fields | ({"password_stage": password} if combined else {}))]
    stages += [password] if proving and not combined else []
    stages.append(made("stages/user_login/", {"name": f"{slug}-l"}))
    for order, stage in enumerate(stages):
        made("flows/bindings/", {"target": flow, "stage": stage, "order": order})
    visitor = Visitor(up.base_url)
    deadline = 60
    while visitor.challenge(slug).get("component") != "ak-stage-identification":
        deadline -= 1
        assert deadline, "the flow does not come"


__all__ = ["AUTHENTICATION", "COMBINED", "PASSWORD", "TITLED", "UNPROVEN", "Stranger", "lock", "zoo"]
