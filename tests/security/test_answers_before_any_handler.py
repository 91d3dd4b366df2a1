"""An attacker looks for answers that are not ours: what the HTTP library says by itself echoes, names itself, and forgets headers."""

import asyncio

import pytest

from shared.web.headers import HEADERS
from tests.integration.edge.conftest import Rig
from tests.integration.edge.raw import send
from tests.integration.edge.scripted_worker import AUTH
from tests.security.whole import Defects

CANARY = "canary-7f3a"
OK = "GET /-/health/live/ HTTP/1.1\r\nHost: a\r\n"
REQUESTS: dict[str, tuple[bytes, int]] = {
    "an expectation": (f"{OK}Expect: {CANARY}\r\n\r\n".encode(), 417),
    "an expectation of markup": (f"{OK}Expect: <script>{CANARY}</script>\r\n\r\n".encode(), 417),
    "an expectation beside the usual one": (f"{OK}Expect: 100-continue, {CANARY}\r\n\r\n".encode(), 417),
    "an expectation at no route": (f"GET /{CANARY} HTTP/1.1\r\nHost: a\r\nExpect: {CANARY}\r\n\r\n".encode(), 417),
    "an expectation with a body": (f"POST /if/flow/a/ HTTP/1.1\r\nHost: a\r\nExpect: {CANARY}\r\nContent-Length: 2\r\n\r\n{{}}".encode(), 417),
    "an expectation of a method": (f"TRACE / HTTP/1.1\r\nHost: a\r\nExpect: {CANARY}\r\n\r\n".encode(), 417),
    "no HTTP": (f"{CANARY}\r\n\r\n".encode(), 405),
    "another version": (f"GET /{CANARY} HTTP/9.9\r\nHost: a\r\n\r\n".encode(), 400),
    "a header without a name": (f"{OK}: {CANARY}\r\n\r\n".encode(), 400),
    "a header with a blank in its name": (f"{OK}{CANARY} x: y\r\n\r\n".encode(), 400),
    "a NUL in a header": (f"{OK}X: {CANARY}\0\r\n\r\n".encode(), 400),
    "two lengths": (f"{OK}Content-Length: 1\r\nContent-Length: 2\r\nX: {CANARY}\r\n\r\n".encode(), 400),
    "a length that is none": (f"{OK}Content-Length: {CANARY}\r\n\r\n".encode(), 400),
    "a length and chunks": (f"{OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\nX: {CANARY}\r\n\r\n".encode(), 400),
    "another transfer coding": (f"{OK}Transfer-Encoding: {CANARY}\r\n\r\n".encode(), 400),
    "chunks of no size": (f"POST /if/flow/a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode(), 400),
    "an unknown method": (f"{CANARY.upper()} / HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 405),
    "a line that is too long even to read": (f"GET /{CANARY}{'a' * 70_000} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 431),
    "a header that is too long even to read": (f"{OK}X: {CANARY}{'a' * 140_000}\r\n\r\n".encode(), 431),
    "a target that is too long": (f"GET /{CANARY}{'a' * 9_000} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 414),
    "headers that are too large": (f"{OK}X: {CANARY}{'a' * 17_000}\r\n\r\n".encode(), 431),
    "too many headers": ((OK + f"X: {CANARY}\r\n" * 120 + "\r\n").encode(), 431),
    "a body that is too large": (f"POST /if/flow/a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n{CANARY}".encode(), 413),
    "a compressed body": (f"POST /if/flow/a/ HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 11\r\n\r\n{CANARY}".encode(), 415),
    "a host that is none": (f"GET /if/flow/a/ HTTP/1.1\r\nHost: {CANARY} {CANARY}\r\n\r\n".encode(), 400),
    "a tunnel": (f"CONNECT {CANARY}:443 HTTP/1.1\r\nHost: {CANARY}:443\r\n\r\n".encode(), 400),
    "another host's target": (f"GET http://{CANARY}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400),
    "no route": (f"GET /{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 404),
    "an upgrade": (f"GET /{CANARY} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode(), 404),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_error_is_ours_and_repeats_nothing(rig: Rig, name: str) -> None:
    request, status = REQUESTS[name]
    answer = await send(rig.address, request)
    assert answer.status == status
    head = dict(line.split(": ", 1) for line in answer.head.split("\r\n")[1:-2])
    assert {name: head.get(name) for name in HEADERS} == dict(HEADERS)
    assert CANARY not in (answer.head + answer.body.decode()).lower()
    assert not any(word in (answer.head + answer.body.decode()).lower() for word in ("aiohttp", "python", "traceback"))
    assert head["Content-Type"].startswith(("application/problem+json", "text/html"))


async def test_the_one_expectation_that_there_is_is_met(rig: Rig) -> None:
    head = b"POST /if/flow/a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"
    answer = await send(rig.address, head, b"{}")
    assert answer.status == 415


async def test_an_expectation_that_is_not_met_ends_the_connection_and_is_recorded(rig: Rig) -> None:
    answer = await send(rig.address, REQUESTS["an expectation with a body"][0])
    assert answer.closed
    assert "expectation" in rig.records.kinds


@pytest.mark.parametrize(
    "head",
    [
        b"POST /if/flow/%b/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na=b" % AUTH.encode(),
        b"POST /api/v3/flows/executor/%b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n{" % AUTH.encode(),
        b"POST /if/flow/%b/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab" % AUTH.encode(),
        b"GET /if/flow/%b/ HTTP/1.1\r\nHost: a\r\n\r\n" % AUTH.encode(), b"GET / HTTP/1.1\r\nHost", b"POST /a HTTP/1.1\r\nExpect: x\r\n\r\n",
    ],
    ids=["form", "JSON", "chunks", "no body", "head", "expectation"],
)  # fmt: skip
async def test_a_sender_who_goes_away_leaves_no_traceback(rig: Rig, head: bytes) -> None:
    with Defects.watched() as defects:
        for _ in range(5):
            _, writer = await asyncio.open_connection(*rig.address)
            writer.write(head)
            await writer.drain()
            assert (await send(rig.address, f"{OK}\r\n".encode())).status == 200  # what was sent before is being read by now
            writer.transport.abort()
        assert (await send(rig.address, f"{OK}\r\n".encode())).status == 200
        await asyncio.sleep(0.05)
    assert defects.found == []
