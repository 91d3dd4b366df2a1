"""What a request may cost, byte by byte: what aiohttp refuses by itself and what we had to add."""

import asyncio
import json
from typing import Any

import pytest

from shared.web.client import Clients
from shared.web.limits import Limits
from tests.integration.edge.conftest import Rig
from tests.integration.edge.raw import RawAnswer, send
from tests.integration.edge.scripted_worker import AUTH

API = f"/api/v3/flows/executor/{AUTH}/".encode()
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"uid_field":"alice"}'


def post(*headers: bytes, body: bytes = BODY, target: bytes = API, length: bytes | None = None) -> bytes:
    counted = length if length is not None else str(len(body)).encode()
    extra = b"".join(header + b"\r\n" for header in headers)
    return b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: " + counted + b"\r\n" + extra + b"\r\n" + body


def get(*headers: bytes, target: bytes = API, host: bytes = b"Host: localhost\r\n") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + host + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def is_problem(answer: RawAnswer) -> bool:
    members = json.loads(answer.body)
    return members["status"] == answer.status and len(members["correlation_id"]) == 32 and bool(members["error"])


CHUNKED = b"POST " + API + b" HTTP/1.1\r\nHost: localhost\r\n" + JSON
REFUSED = {
    "body of 64 KiB + 1": (post(body=b'"' + b"a" * (64 * 1024 - 1) + b'"'), 413),
    "1 GiB announced": (post(length=b"1073741824", body=b"0123456789"), 413),
    "negative length": (post(length=b"-1"), 400),
    "length with a sign": (post(length=b"+5"), 400),
    "two lengths in one": (post(length=b"5, 5"), 400),
    "chunked and a length": (post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "unknown coding": (CHUNKED + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunk size in hex notation": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0x10\r\n", 400),
    "chunk size with underscore": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\n", 400),
    "too much in chunks": (
        CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b"a" * 0x8000 + b"\r\n") * 3 + b"0\r\n\r\n",
        413,
    ),
    "gzip": (post(b"Content-Encoding: gzip"), 415),
    "br": (post(b"Content-Encoding: br"), 415),
    "target of 17 KiB": (get(target=API + b"?query=" + b"a" * 17_000), 414),
    "101 headers": (get(*(b"X-%d: a" % n for n in range(101))), 431),
    "header of 17 KiB": (get(b"X-A: " + b"a" * 17_000), 431),
    "header of 100 KiB": (get(b"X-A: " + b"a" * 100_000), 431),
    "two hosts": (get(b"Host: other"), 400),
    "no host": (get(host=b""), 400),
    "empty host": (get(host=b"Host: \r\n"), 400),
    "host with a port too large": (get(host=b"Host: auth.example.com:99999\r\n"), 400),
    "host with a user": (get(host=b"Host: auth.example.com@evil\r\n"), 400),
    "host with a blank": (get(host=b"Host: auth.example.com evil\r\n"), 400),
    "two credentials": (get(b"Authorization: Bearer a", b"Authorization: Bearer b"), 400),
    "absolute form of another host": (get(target=b"http://evil.example" + API), 400),
    "a method nobody knows": (b"FOO " + API + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "a method in lower case": (b"get " + API + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "TRACE": (b"TRACE " + API + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "folded header": (get(b"X-A: a\r\n b"), 400),
    "header name with a blank": (get(b"X A: b"), 400),
    "header with NUL": (get(b"X-A: a\0b"), 400),
    "bare CR": (get(b"X-A: a\rb"), 400),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 405),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_before_anybody_looks(rig: Rig, name: str) -> None:
    request, status = REFUSED[name]
    answer = await send(rig.address, request)
    assert answer.status == status
    assert is_problem(answer)
    assert len(rig.records.kinds) == 1
    assert rig.worker.steps == []
    assert (await send(rig.address, get(target=b"/-/health/live/"))).status == 200


async def test_a_request_that_was_cut_short_of_its_body_ends_the_connection(rig: Rig) -> None:
    answer = await send(rig.address, post(length=b"70000"))
    assert (answer.status, answer.closed) == (413, True)


async def test_absolute_form_of_the_same_host_is_served(rig: Rig) -> None:
    assert (await send(rig.address, get(target=b"http://localhost" + API))).status == 200


class TestSlow:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(body_s=0.5, head_s=1.0)

    async def test_a_body_that_takes_too_long_is_given_up(self, rig: Rig) -> None:
        answer = await send(rig.address, post(body=b"", length=b"100"), *[b"a"] * 20, pause_s=0.1)
        assert (answer.status, answer.closed) == (408, True)
        assert rig.records.kinds == ["body_too_slow"]

    async def test_silence_after_expect_is_given_up(self, rig: Rig) -> None:
        answer = await send(rig.address, post(b"Expect: 100-continue", body=b"", length=b"100"))
        assert answer.status == 408

    async def test_a_head_that_takes_too_long_is_given_up(self, rig: Rig) -> None:
        answer = await send(rig.address, b"GET / HTTP/1.1\r\n", *[b"X-A: a\r\n"] * 30, pause_s=0.1)
        assert answer.status == 0
        assert rig.records.kinds == ["head_too_slow"]

    async def test_a_head_has_as_long_as_is_promised(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        loop, waits = asyncio.get_running_loop(), list[float]()
        later = loop.call_later

        def noted(delay: float, callback: Any, *arguments: Any, **more: Any) -> asyncio.TimerHandle:
            if getattr(callback, "__name__", "") == "_watch":
                waits.append(delay)
            return later(delay, callback, *arguments, **more)

        monkeypatch.setattr(loop, "call_later", noted)
        assert (await send(rig.address, get(target=b"/-/health/live/"))).status == 200
        assert waits == [1.0]

    async def test_a_connection_without_a_next_request_is_closed(self, rig: Rig) -> None:
        reader, writer = await asyncio.open_connection(*rig.address)
        writer.write(get(target=b"/-/health/live/"))
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            assert b"ok" in await reader.read()
        writer.close()
        assert rig.records.kinds == []

    async def test_a_step_that_takes_longer_than_a_head_may_is_not_cut_off(self, rig: Rig) -> None:
        with rig.silence(wait_s=2.5):
            answer = await send(rig.address, post())
        assert answer.status == 503
        assert json.loads(answer.body)["error"] == "still_working"


class TestProxies:
    @pytest.fixture
    def clients(self) -> Clients:
        return Clients(["127.0.0.0/8", "10.0.0.0/8"], ["auth.example.com"])

    HOST = b"Host: auth.example.com\r\n"

    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            (b"203.0.113.9", "203.0.113.9"), (b"6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
            (b"::ffff:203.0.113.9", "203.0.113.9"), (b"2001:db8::1", "2001:db8::1"),
        ],
    )  # fmt: skip
    async def test_the_rightmost_untrusted_hop_is_the_client(self, rig: Rig, forwarded: bytes, address: str) -> None:
        await send(rig.address, get(b"X-Forwarded-For: " + forwarded, b"X-Forwarded-Proto: https", host=self.HOST))
        assert (rig.worker.steps[0].address, rig.worker.steps[0].secure) == (address, True)

    @pytest.mark.parametrize(
        ("header", "record"),
        [
            (b"X-Forwarded-For: unknown", "forwarded_for"), (b"X-Forwarded-For: ", "forwarded_for"), (b"X-Forwarded-For: _x", "forwarded_for"),
            (b"X-Forwarded-For: 010.0.0.1", "forwarded_for"), (b"X-Forwarded-For: 127.1, 10.0.0.7", "forwarded_for"),
            (b"Forwarded: for=_hidden;proto=http", "forwarded"), (b"X-Forwarded-Proto: javascript", "forwarded_proto"),
            (b"X-Forwarded-Host: a@b", "forwarded_host"), (b"X-Forwarded-Port: https", "forwarded_port"),
            (b"X-Forwarded-Prefix: //evil.example", "forwarded_prefix"),
        ],
    )  # fmt: skip
    async def test_what_cannot_be_read_is_the_connections_own_and_told_once_a_minute(self, rig: Rig, header: bytes, record: str) -> None:
        for _ in range(3):
            assert (await send(rig.address, get(header, host=self.HOST))).status == 200
        step = rig.worker.steps[0]
        assert (step.address, step.secure, step.host) == ("127.0.0.1", False, "auth.example.com")
        assert rig.records.kinds == [record]
        assert rig.records.facts == [{"connection": "127.0.0.1"}]

    async def test_host_scheme_and_port_of_the_front_are_the_visitors(self, rig: Rig) -> None:
        said = (b"X-Forwarded-Host: AUTH.example.com.", b"X-Forwarded-Proto: HTTPS", b"X-Forwarded-Port: 8443")
        await send(rig.address, get(*said, host=b"Host: inner:9000\r\n"))
        assert (rig.worker.steps[0].secure, rig.worker.steps[0].host) == (True, "auth.example.com:8443")

    async def test_only_hosts_that_we_serve(self, rig: Rig) -> None:
        assert (await send(rig.address, get(host=b"Host: evil.example\r\n"))).status == 421
        assert (await send(rig.address, get(host=b"Host: AUTH.example.com:8443\r\n"))).status == 200

    async def test_over_tls_cookies_are_secure(self, rig: Rig) -> None:
        answer = await send(rig.address, get(b"X-Forwarded-Proto: https", host=self.HOST))
        assert answer.head.count("Secure; SameSite=Lax") == 2
        assert "__Host-authentik_session=" in answer.head


async def test_without_trusted_proxies_nobody_says_who_they_are(rig: Rig) -> None:
    await send(rig.address, get(b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example"))
    step = rig.worker.steps[0]
    assert (step.address, step.secure, step.host) == ("127.0.0.1", False, "localhost")


@pytest.mark.parametrize("version", ["2.0", "0.9", "1.1"])
@pytest.mark.parametrize("target", ["/-/health/live/", "/nothing", "/if/flow/x/"])
async def test_we_speak_our_own_version(rig: Rig, version: str, target: str) -> None:
    answer = await send(rig.address, f"GET {target} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
    assert answer.head.startswith("HTTP/1.1 ")
