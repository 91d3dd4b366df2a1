"""A made-up prefix, or a path without its slash, that would lead a browser to another site or split an answer."""

import pytest

from shared.web.client import Clients
from tests.integration.edge.conftest import Browser, Rig
from tests.integration.edge.raw import send
from tests.integration.edge.scripted_worker import AUTH
from tests.integration.edge.test_limits import get

HOSTILE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\evil.example", "https://evil.example", "/@evil.example", "/..//evil.example", "/auth/../..",
    "/%2fevil.example", "/%0d%0aSet-Cookie:%20a=evil", "/auth;evil", "/auth?evil", "/auth#evil", "/auth evil", "evil", ".evil", "/\tevil", "/auth//evil",
    "/" + "evil" * 100, "/evil" * 9, '/"><script>evil', "/evil,//evil.example", "javascript:evil",
]  # fmt: skip
PATHS = [
    "/",
    f"/if/flow/{AUTH}/",
    f"/if/flow/{AUTH}",
    "/if/user/",
    "/flows/-/cancel/",
    "/nowhere",
    f"/api/v3/flows/executor/{AUTH}/?query=",
]


class TestThroughATrustedFront:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.0/8"])

    @pytest.mark.parametrize("prefix", HOSTILE)
    async def test_what_is_no_plain_path_is_no_prefix(self, rig: Rig, prefix: str) -> None:
        for path in PATHS:
            answer = await send(rig.address, get(b"Accept: text/html", f"X-Forwarded-Prefix: {prefix}".encode(), target=path.encode()))
            assert answer.status < 500
            assert "evil" not in answer.head and b"evil" not in answer.body
        assert rig.records.kinds[0] == "forwarded_prefix"

    async def test_only_the_nearest_front_names_it(self, rig: Rig) -> None:
        for lines in ((b"X-Forwarded-Prefix: /evil, /auth",), (b"X-Forwarded-Prefix: /evil", b"X-Forwarded-Prefix: /auth")):
            answer = await send(rig.address, get(*lines, target=b"/if/user/"))
            assert b'href="/auth/' in answer.body and b"evil" not in answer.body


@pytest.mark.parametrize("path", PATHS)
async def test_a_strangers_prefix_is_worth_nothing(rig: Rig, path: str) -> None:
    answer = await send(rig.address, get(b"Accept: text/html", b"X-Forwarded-Prefix: /evil", target=path.encode()))
    assert "evil" not in answer.head and b"evil" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example", "//evil.example/if/user", "/if/flow//evil.example", "/if/flow/..", "/if/flow/a%0d%0aSet-Cookie:%20a=b", "/if/flow/a;b",
        "/if/flow/%2f%2fevil.example", "/%5cevil.example", "/if/flow/a/b", "/nowhere", "/if/flow/a%00", "/if/flow/\u00e4",
    ],
)  # fmt: skip
async def test_a_missing_slash_sends_nobody_elsewhere(rig: Rig, path: str) -> None:
    answer = await send(rig.address, get(b"Accept: text/html", target=path.encode()))
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in answer.head.split("\r\n")[1:])}
    assert answer.status in (400, 404, 308)
    assert "set-cookie" not in fields
    if answer.status == 308:
        assert fields["location"].startswith("/if/flow/") and "//" not in fields["location"]


async def test_a_typed_page_without_its_slash_and_with_its_query(rig: Rig, browser: Browser) -> None:
    for path, there in (
        (f"/if/flow/{AUTH}", f"/if/flow/{AUTH}/"), (f"/if/flow/{AUTH}?next=%2Fapp&x=1", f"/if/flow/{AUTH}/?next=%2Fapp&x=1"), ("/if/user", "/if/user/"),
        ("/flows/-/default/authentication", "/flows/-/default/authentication/"), ("/-/health/ready", "/-/health/ready/"),
    ):  # fmt: skip
        answer = await browser.get(path)
        assert (answer.status, answer.headers["Location"]) == (308, there)
        assert (await browser.send("HEAD", path)).status == 308
    assert (await browser.get("/api/v3/core/users/me")).status == 404
    assert rig.worker.steps == []
    assert rig.records.kinds == ["not_found"]
