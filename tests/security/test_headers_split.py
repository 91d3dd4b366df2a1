"""An attacker puts line breaks, semicolons and odd bytes where an answer's headers are made: slugs, queries, targets, cookies.

Nothing of it begins another header or attribute, and every request gets its answer.
"""

import re

import pytest
from aiohttp import web

from shared.kernel.clock import FixedClock
from shared.web import cookie_header
from shared.web.app import make_app
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.server import Listener
from tests.integration.edge.conftest import Browser, Records, Rig
from tests.integration.edge.raw import RawAnswer, send
from tests.integration.edge.scripted_worker import AUTH
from tests.security.whole import Defects

SLUGS = [
    "a%0d%0aSet-Cookie:%20evil=1", "a%0aevil:1", "a%0devil", "a;Domain=evil.example", "a;%20Secure", "a%3bDomain=evil.example", "a%00b",
    "a%20b", "a%09b", "a%e2%80%a8b", "a%ff", "%f0%9f%98%80", "a%22b", "a%5cb", "a,b", "a=b", "a%2525", "a%7f", "x" * 51, "a%c2%85b",
    "a%2f..%2fb", "a\xfc", "a%ed%a0%80",
]  # fmt: skip
ROUTES = ["/if/flow/{}/", "/api/v3/flows/executor/{}/?query=", "/flows/-/default/{}/"]
TWICE = "sluice_step=d; sluice_step=e"
COOKIES = ["", TWICE, "sluice_command=d; sluice_command=e", "authentik_session=a; authentik_session=b", "sluice_command=" + "x" * 22]
QUERIES = [
    "next=/%0d%0aSet-Cookie:%20evil=1", "next=%2f%0aevil", "next=/a;b", "next=/\xfc\xff", "%0d%0aevil=1", "a=\xe2\x80\xa8", "next=/%e2%80%a8x",
    "next=/%00", "next=/%ud800", "next=/%ed%a0%80", "query=next%3D%2F%250d%250aevil", "a=%ff%fe&b=\x80", "'\"<>`{}|^",
]  # fmt: skip


async def asked(rig: Rig, method: str, target: str, headers: str = "", body: bytes = b"") -> RawAnswer:
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return await send(rig.address, head.encode("latin-1") + body)


def check(answer: RawAnswer) -> None:
    assert answer.status, "no answer"
    assert answer.status < 500
    for line in answer.head.split("\r\n")[1:-2]:
        name, colon, value = line.partition(": ")
        assert colon and name.replace("-", "").isalnum(), line
        assert "evil" not in name.lower()
        assert value.isascii() and value.isprintable(), line
        if name == "Set-Cookie":
            assert value.count("Path=") == 1
            assert "evil" not in value and "Domain" not in value


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("slug", SLUGS)
async def test_a_slug_begins_no_header_and_no_attribute(rig: Rig, slug: str, route: str) -> None:
    for method in ("GET", "POST", "HEAD", "PUT"):
        for cookie in COOKIES:
            check(await asked(rig, method, route.format(slug), f"Cookie: {cookie}\r\n" if cookie else ""))
    assert rig.worker.steps == []


@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_begins_no_header(rig: Rig, browser: Browser, query: str) -> None:
    for path in (
        f"/if/flow/{AUTH}/",
        f"/api/v3/flows/executor/{AUTH}/",
        "/",
        "/if/user/",
        "/flows/-/default/authentication/",
        "/flows/-/cancel/",
    ):
        check(await asked(rig, "GET", f"{path}?{query}"))
        check(await asked(rig, "GET", f"{path}?{query}", f"Cookie: {TWICE}\r\n"))
    await browser.get(f"/api/v3/flows/executor/{AUTH}/?query=")
    cookies = "; ".join(f"{name}={value}" for (name, _), value in browser.jar.items())
    body = b'{"uid_field": "alice"}'
    check(
        await asked(
            rig, "POST", f"/api/v3/flows/executor/{AUTH}/?{query}", f"Cookie: {cookies}\r\nContent-Type: application/json\r\n", body
        )
    )


async def test_a_page_goes_on_to_itself_whatever_bytes_its_query_has(rig: Rig, browser: Browser) -> None:
    for query in QUERIES:
        path = f"/if/flow/{AUTH}/"
        shown = await browser.get(path)
        hidden = "&".join(f"{name}={value}" for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text))
        cookies = "; ".join(f"{name}={value}" for (name, _), value in browser.jar.items())
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        check(await asked(rig, "POST", f"{path}?{query}", f"Cookie: {cookies}\r\n{kind}", f"{hidden}&uid_field=alice".encode()))


@pytest.mark.parametrize("path", ["/a;Domain=b", "/a\r\nx: y", "/a b", "/\u00e4", "/a\0", '/a"', "/a\x7f"])
def test_the_path_of_a_cookie_is_quoted(path: str) -> None:
    line = cookie_header.line("a", "b", path=path, secure=False)
    assert line.isascii() and line.isprintable()
    attributes = line.split("; ")
    assert len(attributes) == 4
    assert ";" not in attributes[2] and " " not in attributes[2]


@pytest.mark.parametrize("value", ["/\r\nSet-Cookie: a=b", "/\n", "/\0", "/\u00fc", "/\u2028", "/\ud800"])
async def test_no_answer_is_sent_with_a_header_of_two_lines(value: str) -> None:
    """What a handler of later days forgets: the listener looks at every header before it goes."""

    async def handler(request: web.Request) -> web.Response:
        name = "Location" if request.path == "/to" else "X-Other"
        return web.Response(status=302, headers={name: value})

    records, defects = SecurityLog(Records(), FixedClock()), Defects()
    listener = Listener(make_app([web.get("/to", handler), web.get("/other", handler)], Limits(), records), Limits(), records)
    address = await listener.start("127.0.0.1", 0)
    try:
        to = await send(address, b"GET /to HTTP/1.1\r\nHost: a\r\n\r\n")
        other = await send(address, b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    finally:
        await listener.stop()
    check(to)
    assert (to.status, other.status) == (302, 500)
    assert "Set-Cookie" not in other.head and "nosniff" in other.head
    assert defects.found == []
