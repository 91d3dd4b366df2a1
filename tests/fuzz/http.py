"""The whole executor over HTTP: up to four requests of one browser, or bytes as they are.

Every request is answered, never by a 5xx but those 503 that docs/errors.md has for it, with our headers, and not by many times
its size; nothing is logged as a defect, no dead letter is made, and the next visitor is served.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final
from urllib.parse import quote_from_bytes

from shared.kernel.errors import SluiceError
from shared.web.headers import HEADERS
from tests.fuzz.given import Given
from tests.fuzz.target import Run, Target
from tests.integration.edge.raw import RawAnswer, send
from tests.security.test_wrong_types import flow_of
from tests.security.whole import Whole, whole
from tests.unit.executor.world import LOGIN_STAGES, stage

FLOWS: Final = {
    "login": LOGIN_STAGES, "out": (stage("user_logout"), stage("dummy")), "deny": (stage("deny"),), "one": flow_of("identification"),
    "mfa": flow_of("authenticator_validate"), "remember": flow_of("user_login"),
}  # fmt: skip
SLUGS: Final = [*FLOWS, "nothing", "", "-", "x" * 51]
PATHS: Final = [
    "/api/v3/flows/executor/{}/", "/if/flow/{}/", "/api/v3/flows/executor/{}", "/if/flow/{}", "/", "/if/user/", "/flows/-/cancel/",
    "/flows/-/default/authentication/", "/flows/-/default/{}/", "/api/v3/core/users/me/", "/-/health/ready/", "/-/cookies/clear/",
    "/static/dist/{}", "/{}",
]  # fmt: skip
METHODS: Final = ["GET", "POST", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
NAMES: Final = [
    "Cookie", "Content-Type", "Accept", "Authorization", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "X-authentik-CSRF",
    "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "User-Agent", "Accept-Language", "Expect", "Content-Encoding", "Sec-Purpose",
    "Range", "If-None-Match", "Transfer-Encoding", "Upgrade", "Host", "Referer", "Accept-Encoding",
]  # fmt: skip
VALUES: Final = [
    b"application/json", b"text/html", b"application/x-www-form-urlencoded", b"Bearer good-token", b"same-origin", b"cross-site", b"gzip",
    b"100-continue", b"multipart/form-data; boundary=a", b"chunked", b"none", b"*/*",
]  # fmt: skip
FIELDS: Final = ["uid_field", "password", "component", "remember_me", "selected_stage", "selected_challenge", "code", "webauthn", "x"]
TEXTS: Final = ["alice", "secret", "", "one", "ak-stage-password", "\0", "\u202e", "x" * 600, "12", "true"]
PLAIN: Final[list[Any]] = [None, True, 0, 12345, -1.5, 2**63 - 1, [], {}, [[]], {"a": {"b": [None]}}, {"\0": "\0"}]
EXPECTED_503: Final = frozenset({
    "superseded", "rotation", "session_over", "session_full", "session_taken", "nothing_to_show", "busy", "flow_full", "edge_full",
})  # fmt: skip
LONGEST_S: Final = 60.0
"""A guard against an answer that never comes; not a duration that is measured."""


class Broken(AssertionError):
    """A rule that an input broke."""


@contextmanager
def opened() -> Iterator[Run]:
    """Serve one executor for all inputs of this process."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        target = runner.run(stack.enter_async_context(whole(FLOWS)))
        try:
            yield lambda data: runner.run(_tried(target, Given(data)))
        finally:
            runner.run(stack.aclose())


async def _tried(target: Whole, given: Given) -> None:
    before = await target.dead_letters()
    if given.byte() >= 0xF0:
        await _as_they_are(target, given.rest())
    else:
        await _as_a_browser(target, given)
    if target.defects.found:
        raise Broken(target.defects.found[0])
    if await target.dead_letters() != before:
        raise Broken("a dead letter")


async def _as_they_are(target: Whole, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection(*target.address)
    try:
        writer.write(raw)
        async with asyncio.timeout(0.05):  # most of it is no whole request: nothing comes, and nothing has to
            answer = await reader.read(12)
            if answer.startswith(b"HTTP/1.1 5"):
                raise Broken(f"{answer!r}")
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    health = await send(target.address, b"GET /-/health/live/ HTTP/1.1\r\nHost: a\r\n\r\n", wait_s=LONGEST_S)
    if health.status != 200:
        raise Broken("the next visitor is not served")


async def _as_a_browser(target: Whole, given: Given) -> None:
    jar: dict[str, str] = {}
    for _ in range(1 + given.byte() % 4):
        sent = _request(given, jar)
        answer = await send(target.address, sent, wait_s=LONGEST_S)
        _check(sent, answer)
        for line in answer.head.split("\r\n"):
            if line.lower().startswith("set-cookie:"):
                name, _, value = line.partition(":")[2].strip().partition(";")[0].partition("=")
                jar[name] = value


def _request(given: Given, jar: dict[str, str]) -> bytes:
    method = given.pick(METHODS)
    query = given.piece()
    target = given.pick(PATHS).format(given.pick(SLUGS) or quote_from_bytes(given.piece())).encode()
    target += b"?" + bytes(byte for byte in query if byte > 0x20 and byte != 0x7F) if query else b""
    kind, body = _body(given)
    headers = [("Host", b"a"), ("Content-Type", kind)]
    if jar and given.byte() < 0xF0:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items()).encode()))
    for _ in range(given.byte() % 4):
        value = given.pick([*VALUES, b""]) or given.piece()
        headers.append((given.pick(NAMES), bytes(byte for byte in value if byte not in b"\r\n\0")))
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _body(given: Given) -> tuple[bytes, bytes]:
    match given.byte() % 4:
        case 0:
            return b"application/json", json.dumps({given.pick(FIELDS): given.pick(TEXTS) for _ in range(1 + given.byte() % 2)}).encode()
        case 1:
            return b"application/json", json.dumps({given.pick(FIELDS): given.pick(PLAIN), given.pick(FIELDS): given.pick(TEXTS)}).encode()
        case 2:
            fields = [given.pick(FIELDS).encode() + b"=" + given.piece() for _ in range(1 + given.byte() % 3)]
            return b"application/x-www-form-urlencoded", b"&".join(fields)
        case _:
            return given.pick(VALUES), given.piece()


def _check(sent: bytes, answer: RawAnswer) -> None:
    if answer.status == 0:
        raise Broken("no answer")
    if answer.status >= 500 and not (answer.status == 503 and _error(answer) in EXPECTED_503):
        raise Broken(f"{answer.status} {_error(answer)}")
    if len(answer.head) + len(answer.body) > 64 * 1024 + 8 * len(sent):
        raise Broken("an answer of many times its request's size")
    head = answer.head.lower()
    if any(f"\r\n{name.lower()}: " not in head for name in HEADERS):
        raise Broken("an answer without our headers")


def _error(answer: RawAnswer) -> str:
    try:
        return str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError, SluiceError):
        return ""


def _seeds() -> list[bytes]:
    """Log-ins right and wrong by JSON, a log-out, a page, and some bytes as they are."""
    get, page = bytes((0, 0, 0, 0, 3, 0, 0)), bytes((0, 0, 1, 0, 3, 0, 0))
    name, secret, number = bytes((1, 0, 0, 0, 0, 0, 0, 0)), bytes((1, 0, 0, 0, 0, 0, 1, 1)), bytes((1, 0, 0, 0, 1, 1, 3, 8, 0))
    out = bytes((0, 0, 0, 1, 3, 0, 0))
    first, later = b"\0", b"\0\0"  # no further headers; with the cookies, and none
    return [
        b"\0\3" + get + first + name + later + secret + later + out + later, b"\0\3" + get + first + name + later + number + later + secret + later,
        b"\0\2" + page + first + name + later + page + later, b"\0\1" + bytes(range(60)),
        b"\xf0GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\xf0POST /if/flow/login/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ]  # fmt: skip


http = Target(opened, _seeds)
