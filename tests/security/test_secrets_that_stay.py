"""Somebody gets all that a Sluice has ever written: its files, its logs, its topics, its database. No secret may be in it.

A real `sluice up` meets canaries in every place in which people and programs send secrets, right, wrong and misplaced; then
every byte that it left, and every record that it held in memory, is searched in eleven encodings.
"""

import base64
import http.client
import json
import re
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import psutil
import pytest

from deploy.child import Child, free_port
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, INVALIDATION, Visitor
from tests.security.spellings import betrayed, spellings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = f"/if/flow/{AUTHENTICATION}/"
API = f"/api/v3/flows/executor/{AUTHENTICATION}/?query="
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def canary(name: str) -> str:
    """A random password with signs around it that encoders treat differently."""
    return f'"\u00fc&{name[0]}{secrets.token_hex(12)}>?'


def core(secret: str) -> str:
    """The longest part of it that no encoder changes for its signs: what is searched for."""
    parts: list[str] = re.findall(r"[\w.-]+", secret, re.ASCII)
    return max(parts, key=len)


class Told(SluiceUp):
    """See `up_that_tells`."""

    def _made(self) -> Child:
        child = super()._made()
        child._command = [sys.executable, "-m", "tests.security.up_that_tells", "up"]
        child._environment["SLUICE_TEST_DUMP"] = str(self.dump)
        return child

    @property
    def dump(self) -> Path:
        return self.data.with_name("topics")


class Raw:
    """Requests as no browser makes them, with what a jar has collected."""

    def __init__(self, base_url: str) -> None:
        self._address = urlsplit(base_url).netloc
        self.cookies: dict[str, str] = {}
        self.seen: set[str] = set()
        self.at = PAGE

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Status and body; `_` in a header's name stands for `-`."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            own = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), "Origin": f"http://{self._address}"}
            connection.request(method, path, body, own | {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            if answer.status == 303:  # to the page that names its run
                self.at = answer.headers["Location"]
            for line in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
                if len(value) > 20:
                    self.seen.add(value)
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def post_page(self, page: str, **fields: str) -> str:
        """Answer the form of a page; the page that follows."""
        hidden = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page)}
        self.send("POST", self.at, urlencode({**hidden, **fields}).encode(), Content_Type=FORM)
        return self.send("GET", self.at)[1]


class Life:
    """What was done to one installation, the secrets that were in it, and the name that proves that the search finds things."""

    def __init__(self, folder: Path) -> None:
        self.name = f"bait-{secrets.token_hex(8)}"
        self.secrets = {
            name: canary(name)
            for name in (
                *("bootstrap", "right", "wrong", "by form", "new by API", "new by CLI", "too late", "no text", "cut off"),
                *("in a header", "in the query", "as basic", "as a cookie", "in a wrong field's place", "without a flow"),
            )
        }
        self.secrets |= {
            name: f"{secrets.token_hex(12)}.{secrets.token_urlsafe(12)}" for name in ("bootstrap token", "wrong token", "token in query")
        }
        metrics = f"127.0.0.1:{free_port()}"
        settings = {
            "SLUICE_BOOTSTRAP_PASSWORD": self.secrets["bootstrap"],
            "SLUICE_BOOTSTRAP_TOKEN": self.secrets["bootstrap token"],
            "SLUICE_LOG_LEVEL": "debug",
            "SLUICE_TRACE_RATIO": "1",
            "SLUICE_METRICS_LISTEN": metrics,
        }
        self.up = Told(folder / "data", settings)
        self.command_lines: list[bytes] = []
        with self.up:
            self._people()
            self._strangers()
            self._programs()
            self.metrics = Raw(f"http://{metrics}").send("GET", "/metrics")[1]
            me = psutil.Process(self.up.pid)
            self.command_lines += [" ".join(each.cmdline()).encode() for each in (me, *me.children(recursive=True))]
            assert self.up.stop() == 0
        self.secrets["the secret key"] = (self.up.data / "secret.key").read_text().strip()

    def _people(self) -> None:
        up, known = self.up, self.secrets
        up.command("users", "create", self.name, "--password-stdin", stdin=known["right"] + "\n")
        visitor = Visitor(up.base_url)
        assert visitor.log_in("akadmin", known["bootstrap"])["component"] == "xak-flow-redirect"
        visitor = Visitor(up.base_url)
        assert visitor.log_in(self.name, known["wrong"])["component"] == "ak-stage-password"
        assert visitor.answer("ak-stage-password", password=known["right"])["component"] == "xak-flow-redirect"
        self._keep(visitor)
        visitor.challenge(INVALIDATION)
        browser = Raw(up.base_url)
        page = browser.post_page(browser.send("GET", PAGE)[1], uid_field=self.name)
        assert 'type="password"' in page
        page = browser.post_page(page, password=known["by form"])
        browser.post_page(page, password=known["right"])
        self.secrets |= {f"cookie {number} of the browser": value for number, value in enumerate(sorted(browser.seen))}
        up.command("users", "set-password", self.name, "--password-stdin", stdin=known["new by CLI"] + "\n")
        assert Visitor(up.base_url).log_in(self.name, known["right"])["component"] == "ak-stage-password"
        assert Visitor(up.base_url).log_in(self.name, known["new by CLI"])["component"] == "xak-flow-redirect"

    def _strangers(self) -> None:
        """Secrets in places where they should not be."""
        known = self.secrets
        half_way = Visitor(self.up.base_url)
        assert half_way.identify(self.name)["component"] == "ak-stage-password"
        for password in ([known["no text"]], {"a": known["no text"]}):
            half_way.ask(API, {"component": "ak-stage-password", "password": password})
        half_way.ask(API, {"component": "ak-stage-identification", "password": known["in a wrong field's place"]})
        raw = Raw(self.up.base_url)
        raw.send("GET", PAGE)
        raw.send("POST", API, f'{{"password": "{known["cut off"]}'.encode(), Content_Type=JSON)
        raw.send("POST", API, known["cut off"].encode(), Content_Type="text/plain")
        raw.send("POST", PAGE, b"password=" + known["cut off"].encode(), Content_Type=JSON)
        raw.send("POST", "/if/flow/there-is-none/", urlencode({"password": known["without a flow"]}).encode(), Content_Type=FORM)
        basic = base64.b64encode(f"{self.name}:{known['as basic']}".encode()).decode()
        raw.send("GET", "/api/v3/core/users/me/", Authorization=f"Basic {basic}")
        raw.send("GET", "/api/v3/core/users/me/", Authorization=f"Bearer {known['wrong token']}")
        raw.send("GET", "/api/v3/core/users/", X_authentik_CSRF=quote(known["in a header"]))
        raw.cookies |= {"authentik_session": quote(known["as a cookie"]), "sluice_step": quote(known["as a cookie"])}
        raw.send("GET", API)
        raw.send("GET", f"/api/v3/core/users/?token={known['token in query']}")
        raw.send("GET", f"/api/v3/core/users/?access_token={known['bootstrap token']}")
        raw.send("GET", f"/no/such/route?password={quote(known['in the query'])}")

    def _programs(self) -> None:
        known, bearer = self.secrets, f"Bearer {self.secrets['bootstrap token']}"
        raw = Raw(self.up.base_url)
        status, body = raw.send("GET", f"/api/v3/core/users/?username={self.name}", Authorization=bearer)
        assert status == 200, body
        number = json.loads(body)["results"][0]["pk"]
        path = f"/api/v3/core/users/{number}/set_password/"
        status, body = raw.send(
            "POST", path, json.dumps({"password": known["new by API"]}).encode(), Content_Type=JSON, Authorization=bearer
        )
        assert status == 204, body
        raw.send("POST", path, json.dumps({"password": [known["too late"]]}).encode(), Content_Type=JSON, Authorization=bearer)
        assert Visitor(self.up.base_url).log_in(self.name, known["new by API"])["component"] == "xak-flow-redirect"
        self.secrets["made token"] = self.up.command("users", "create-token", "akadmin", "--identifier", "canary").stdout.strip()
        status, body = raw.send("GET", "/api/v3/core/users/", Authorization=f"Bearer {self.secrets['made token']}")
        assert status == 200, body

    def _keep(self, visitor: Visitor) -> None:
        values = [cookie.value for cookie in visitor.jar if cookie.value and len(cookie.value) > 20]
        self.secrets |= {f"cookie {number} of the visitor": value for number, value in enumerate(values)}

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that is left of it, by where it is; the key's own file aside."""
        for path in sorted(self.up.data.rglob("*")):
            if path.is_file() and path != self.up.data / "secret.key":
                yield str(path.relative_to(self.up.data)), path.read_bytes()
        yield "standard output and error", self.up.output.encode()
        yield "metrics", self.metrics.encode()
        yield "command lines", b"\0".join(self.command_lines)
        for line in self.up.dump.read_text().splitlines():
            topic, *parts = line.split(" ")
            yield f"topic {topic}", b"\0".join(base64.b64decode(part) for part in parts)
        with sqlite3.connect(f"file:{self.up.data / 'log.sqlite'}?mode=ro", uri=True) as database:  # a value may span pages of the file
            for row in database.execute("select topic, key, value, headers from records"):
                yield f"row of {row[0]}", b"\0".join(part if isinstance(part, bytes) else str(part).encode() for part in row[1:])
        database.close()


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("canaries"))


def test_no_secret_is_anywhere_in_any_encoding(life: Life) -> None:
    cores = {name: core(secret) for name, secret in life.secrets.items()}
    assert min(map(len, cores.values())) >= 24
    found = {f"{where}: {how}" for where, content in life.written() for how in betrayed(content, cores.items())}
    assert found == set()
    assert len(life.secrets) >= 22


def test_the_search_finds_what_is_no_secret_wherever_it_must_be(life: Life) -> None:
    """The user's name is in the history, the volatile topics, the database: or the test above would have looked at nothing."""
    places = {where for where, content in life.written() if life.name.encode() in content}
    assert {
        "topic executor.sessions",
        "topic directory.events",
        "topic policy.requests",
        "row of executor.sessions",
        "log.sqlite",
    } <= places
    assert any(place.startswith("postgres/data/base/") for place in places)
    assert any(place.startswith("postgres/data/pg_wal/") for place in places)
    topics = {where for where, _ in life.written() if where.startswith("topic ")}
    assert {
        "topic executor.steps",
        "topic planner.plans",
        "topic policy.verdicts",
        "topic directory.tokens",
    } <= topics


@pytest.mark.parametrize("encoding", spellings("x"))
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_each_encoding_is_found_at_every_place_of_a_file(encoding: str, before: bytes) -> None:
    secret = core(canary("any"))
    whole = before + secret.encode() + b"after"
    text = whole.decode()
    written = {
        "as it is": whole,
        "UTF-16 little endian": text.encode("utf-16-le"),
        "UTF-16 big endian": text.encode("utf-16-be"),
        "base64": base64.b64encode(whole),
        "base64url": base64.urlsafe_b64encode(whole),
        "hexadecimal": whole.hex().encode(),
        "hexadecimal, large": whole.hex().upper().encode(),
        "percent": quote(text, safe="").encode(),
        "JSON escapes": "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
        "character references": "".join(f"&#{ord(letter)};" for letter in text).encode(),
        "numbers": str(list(whole)).encode(),
    }[encoding]
    assert f"any, {encoding}" in betrayed(written, [("any", secret)])
    assert betrayed(written, [("other", canary("other"))]) == []
    assert len(spellings(secret)) == 11
