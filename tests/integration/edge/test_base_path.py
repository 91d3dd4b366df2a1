"""Under a path of a host: every link, redirect, cookie, file and form; and a prefix that a stranger made up."""

import re
from html import unescape

import pytest

from shared.web.client import Clients
from tests.integration.edge.conftest import Answer, Browser, Rig
from tests.integration.edge.scripted_worker import AUTH, OUT
from tests.integration.edge.test_pages import hidden

PAGE = f"/if/flow/{AUTH}/"
API = f"/api/v3/flows/executor/{AUTH}/?query="
FORM = "application/x-www-form-urlencoded"


def links(answer: Answer) -> set[str]:
    """Every path that a page, or a challenge, names."""
    named = re.findall(r'(?:href|src|action)="(/[^"]*)"', answer.text) + re.findall(
        r'"(?:to|cancel_url|background|\w+_url|\w*avatar)": ?"(/[^"]*)"', answer.text
    )
    going = [
        answer.headers[name].partition("url=")[2] or answer.headers[name] for name in ("Location", "Refresh") if name in answer.headers
    ]
    paths = [line.partition("Path=")[2].partition(";")[0] for line in answer.headers.getall("Set-Cookie", [])]
    return {unescape(path) for path in (*named, *going, *paths)}


class Under:
    """A browser that sees the edge under a base path, by a front that passes the path on or takes it off."""

    def __init__(self, browser: Browser, base: str, headers: dict[str, str], strips: bool) -> None:
        self.browser = browser
        self.base = base
        self.headers = headers
        self.strips = strips
        self.wrong: set[str] = set()

    async def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        assert path.startswith(f"{self.base}/"), path
        target = path.removeprefix(self.base) if self.strips else path
        cookies = "; ".join(
            f"{name}={value}" for (name, where), value in self.browser.jar.items() if path.partition("?")[0].startswith(where)
        )
        cookie = {"Cookie": cookies} if cookies else {}
        answer = await self.browser.send(method, target, {**self.headers, **cookie, **(headers or {})}, body)
        self.wrong |= {link for link in links(answer) if not link.startswith(f"{self.base}/")}
        return answer

    async def form(self, path: str, page: Answer, **fields: str) -> Answer:
        action = unescape(re.search(r'<form method="post" action="([^"]*)"', page.text)[1])  # type: ignore[index]
        body = "&".join(f"{name}={value}" for name, value in {**hidden(page), **fields}.items()).encode()
        return await self.send("POST", action, {"Content-Type": FORM, "Origin": self.browser.url}, body)


async def whole_visit(under: Under) -> None:
    base = under.base
    entry = await under.send("GET", f"{base}/")
    assert entry.headers["Location"] == f"{base}/flows/-/default/authentication/?next={base}/"
    page = (await under.send("GET", entry.headers["Location"])).headers["Location"]
    assert page.startswith(f"{base}{PAGE}?next=")
    shown = await under.send("GET", page)
    for file in re.findall(r'(?:href|src)="([^"]*/static/[^"]*)"', shown.text):
        found = await under.send("GET" if file.endswith(".css") else "HEAD", file)
        assert (found.status, 'url("/' in found.text) == (200, False), file
    gone_on = await under.form(page, shown, uid_field="alice")
    asked = await under.send("GET", gone_on.headers["Location"])
    assert 'name="password"' in asked.text
    assert f'href="{base}/flows/-/cancel/?next=' in asked.text
    done = await under.form(page, asked, password="alice-pw")
    assert links(done) >= {f"{base}/"}
    assert "Alice Example" in (await under.send("GET", f"{base}/if/user/")).text
    challenge = await under.send("GET", f"{base}{API}")
    assert challenge.json["flow_info"]["background"].startswith(f"{base}/static/")  # type: ignore[index]
    leaving = (await under.send("GET", f"{base}/flows/-/default/invalidation/")).headers["Location"]
    assert leaving == f"{base}/if/flow/{OUT}/"
    out = await under.send("GET", leaving)
    assert links(out) >= {f"{base}/"}
    assert (await under.send("GET", f"{base}/api/v3/core/users/me/")).status == 403
    typed = await under.send("GET", f"{base}/if/flow/{AUTH}?next=%2Fapp")
    assert (typed.status, typed.headers["Location"]) == (308, f"{base}{PAGE}?next=%2Fapp")
    assert (await under.send("GET", f"{base}/-/health/live/")).status == 200
    assert under.wrong == set()


class TestBySetting:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(path="/auth")

    @pytest.mark.parametrize("strips", [False, True])
    async def test_a_visit_under_the_path_whether_the_front_takes_it_off_or_not(self, rig: Rig, browser: Browser, strips: bool) -> None:
        await whole_visit(Under(browser, "/auth", {}, strips))

    async def test_json_goes_on_under_the_path(self, rig: Rig, browser: Browser) -> None:
        under = Under(browser, "/auth", {}, strips=False)
        await under.send("GET", f"/auth{API}")
        taken = await under.send("POST", f"/auth{API}", {"Content-Type": "application/json"}, b'{"uid_field":"alice"}')
        assert taken.headers["Location"] == f"/auth{API}"
        done = await under.send("POST", f"/auth{API}", {"Content-Type": "application/json"}, b'{"password":"alice-pw"}')
        assert done.json == {"component": "xak-flow-redirect", "to": "/auth/"}
        assert under.wrong == set()

    @pytest.mark.parametrize(
        ("wanted", "to"),
        [
            ("/app", "/app"), ("/auth/if/user/", "/auth/if/user/"), ("/if/user/", "/auth/if/user/"), ("/", "/auth/"), ("/auth", "/auth"),
            ("/authors/", "/authors/"), ("/iframe", "/iframe"), ("/static/x", "/static/x"), ("/api/docs?x=1", "/api/docs?x=1"),
            ("//evil.example/auth/", None), ("/\\evil.example", "/auth/"), ("https://evil.example/auth/", None),
        ],
    )  # fmt: skip
    async def test_next_is_a_path_as_the_browser_has_it(self, rig: Rig, browser: Browser, wanted: str, to: str | None) -> None:
        await browser.get(f"/auth{API}next={wanted.replace('/', '%252F')}")
        await browser.post(f"/auth{API}", {"uid_field": "alice"})
        query = f"/auth/api/v3/flows/executor/{AUTH}/?query=next%3D{wanted.replace('/', '%252F').replace(':', '%253A').replace('?', '%253F').replace('=', '%253D')}"
        challenge = (await browser.post(query, {"password": "alice-pw"})).json
        assert challenge.get("to") == to

    async def test_the_root_without_the_last_slash_and_what_only_begins_alike(self, rig: Rig, browser: Browser) -> None:
        assert (await browser.get("/auth")).headers["Location"] == "/auth/"
        assert (await browser.get("/authors/")).status == 404
        assert (await browser.get("/auth/auth/")).status == 404

    async def test_a_front_cannot_say_otherwise_than_the_setting(self, rig: Rig, browser: Browser) -> None:
        page = await browser.get("/auth/if/user/", X_Forwarded_Prefix="/evil")
        assert "/evil" not in page.text and 'href="/auth/' in page.text


class TestByTheFront:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.0/8"])

    @pytest.mark.parametrize("strips", [False, True])
    async def test_a_visit_under_the_path_that_the_front_names(self, rig: Rig, browser: Browser, strips: bool) -> None:
        await whole_visit(Under(browser, "/apps/auth", {"X-Forwarded-Prefix": "/apps/auth"}, strips))
        assert rig.records.kinds == []
