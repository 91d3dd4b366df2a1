"""The corpus of bad input, row by row, under the rules that hold for every row (README.md beside this file)."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from services.executor.edge.unknown_flows import MISSES
from tests.e2e.corpus.conftest import Target
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.raw import RawAnswer, send

HERE: Final = Path(__file__).parent
CANARY: Final = "Zq9canary7"
API: Final = "/api/v3/flows/executor/default-authentication-flow/"
DUMMY: Final = "/api/v3/flows/executor/o-next-hostile-f/"
MEMBERS: Final = {"type", "title", "status", "error", "correlation_id"}
FIXED: Final = {
    "canary": CANARY,
    "api": API,
    "many": "&".join(f"a{n}=1" for n in range(200)),
    "101 headers": "X-0: a" + "".join(f"\r\nX-{n}: a" for n in range(1, 101)),
    "17 KiB": "a" * 17 * 1024,
    "5000 bytes": "A" * 5000,
    "4100 bytes": "a" * 4100,
    "10 KiB": "a" * 10 * 1024,
    "100 KB": "a" * 100_000,
    "1 MiB": "a" * 2**20,
    "1025 bytes": "a" * 1025,
    "256 emoji": "\U0001f600" * 256,
    "4000 marks": "\u0301" * 4000,
    "300 keys": ",".join(f'"k{n}":1' for n in range(300)),
    "50 cookies": "; ".join(f"c{n}=1" for n in range(50)),
}
SENT: Final = "Cookie: authentik_session=${authentik_session}; sluice_step=${sluice_step}"
Row = dict[str, Any]


def rows(name: str) -> list[Any]:
    found: list[Row] = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    return [pytest.param(row, id=row["what"]) for row in found]


def filled(text: str, variables: dict[str, str]) -> str:
    for name, value in {**FIXED, **variables}.items():
        text = text.replace("${" + name + "}", value)
    return text


def request_of(row: Row, variables: dict[str, str]) -> bytes:
    if "raw" in row:
        return filled(row["raw"], variables).encode("latin-1")
    body = bytes.fromhex(row["hex"]) if "hex" in row else filled(row.get("body", ""), variables).encode()
    if "repeat" in row:
        body = row["repeat"][0].encode() * row["repeat"][1]
    method, target = row.get("method", "POST"), filled(row.get("target", API), variables)
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(filled(line, variables) for line in row.get("headers", ()))]
    if method == "POST":
        lines += [f"Content-Type: {row.get('type', 'application/json')}", f"Content-Length: {row.get('length', len(body))}"]
    # What cannot be written in Latin-1 is sent as UTF-8, as clients do.
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


class ComeBack(Exception):
    """A 503. What was asked may be done yet, or not: nothing can be said of what follows."""


async def asked(target: Target, request: bytes) -> RawAnswer:
    """The answer; `ComeBack` if it is a 503."""
    answer = await send(target.address, request)
    if answer.status == 503:
        raise ComeBack
    return answer


async def patiently(attempt: Callable[[], Awaitable[None]]) -> None:
    """From the beginning, and once more after a 503: no row is about a machine that is slow."""
    async with asyncio.timeout(2 * PATIENT_S):
        while True:
            try:
                return await attempt()
            except ComeBack:
                await asyncio.sleep(3)  # what is late comes meanwhile


async def started(target: Target) -> dict[str, str]:
    """The cookies of a browser that was shown the first challenge."""
    return cookies_of(await asked(target, f"GET {API} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))


async def named(target: Target) -> dict[str, str]:
    """The cookies of a browser that is asked for its password."""
    cookies = await started(target)
    answer = await asked(target, request_of({"body": '{"uid_field":"nobody"}', "headers": [SENT]}, cookies))
    assert answer.status == 302
    return cookies | cookies_of(answer)


def cookies_of(answer: RawAnswer) -> dict[str, str]:
    return dict(re.findall(r"Set-Cookie: (\w+)=([^;\r]*)", answer.head))


def check_answer(row: Row, answer: RawAnswer, *, head: bool) -> None:
    wanted = row["status"] if isinstance(row["status"], list) else [row["status"]]
    assert answer.status in wanted, answer
    assert CANARY.encode() not in answer.body or row.get("echo")
    assert "Access-Control-Allow-Origin" not in answer.head
    if "component" in row:
        assert json.loads(answer.body)["component"] == row["component"]
    assert {name: json.loads(answer.body)[name] for name in row.get("json", ())} == row.get("json", {})
    assert row.get("shows", "").encode() in answer.body
    if answer.status >= 400 and "problem+json" in answer.head and not head:
        members = json.loads(answer.body)
        assert set(members) == MEMBERS
        assert members["error"] == row.get("error", members["error"])
    else:
        assert "error" not in row


def check_cookies(row: Row, answer: RawAnswer, variables: dict[str, str]) -> None:
    lines = re.findall(r"Set-Cookie: ([^\r]*)", answer.head)
    if "clears" in row:
        assert all("Max-Age=0" in line and line.startswith(row["clears"] + "=;") for line in lines)
        assert lines
    elif row.get("resent"):
        assert f"authentik_session={variables['authentik_session']}; HttpOnly; Path=/; SameSite=Lax" in lines
    elif not row.get("step"):
        assert lines == []


async def state_before(target: Target, row: Row) -> dict[str, str]:
    """What the row's request refers to: cookies of what was asked before, and a superuser's token."""
    match row.get("after"):
        case "start":
            cookies = await started(target)
        case "named":
            cookies = await named(target)
            row.setdefault("headers", [SENT])
        case _:
            cookies = {}
    return cookies | {"token": target.token}


async def attacked(target: Target, row: Row) -> None:
    if row.get("only", target.name) != target.name:
        pytest.skip(f"only for {row['only']}")
    await patiently(lambda: attacked_once(target, row))


async def attacked_once(target: Target, row: Row) -> None:
    variables = await state_before(target, row)
    records, transitions = len(target.records()), target.transitions()
    answer = await asked(target, request_of(row, variables))
    check_answer(row, answer, head=row.get("method") == "HEAD")
    check_cookies(row, answer, variables)
    if not row.get("step"):
        assert target.transitions() == transitions
    await check_records(target, row, answer, records)
    alive = await send(target.address, b"GET /-/health/live/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert alive.status == 200


async def check_records(target: Target, row: Row, answer: RawAnswer, before: int) -> None:
    suspect = row.get("suspect", answer.status >= 400 or row.get("component") == "ak-stage-flow-error")
    if target.name == "edge":
        new = target.records()[before:]
        assert len(new) == int(suspect)
    else:
        due = int("recorded" in row)
        mine = f'"logger":"security.{row.get("recorded")}"'
        async with asyncio.timeout(PATIENT_S):
            while len(new := target.records()[before:]) < due:  # noqa: ASYNC110 - a file that another process writes
                await asyncio.sleep(0.05)
        assert sum(mine in line for line in new) == due
        assert len(new) - due <= int(suspect)  # a process writes only the first few of a class
    assert not any(CANARY in line for line in new)


@pytest.mark.parametrize("row", rows("http"))
async def test_http(target: Target, row: Row) -> None:
    await attacked(target, row)


@pytest.mark.parametrize("row", rows("headers"))
async def test_headers(target: Target, row: Row) -> None:
    await attacked(target, row)


@pytest.mark.parametrize("row", rows("cookies"))
async def test_cookies(target: Target, row: Row) -> None:
    await attacked(target, row)


@pytest.mark.parametrize("row", rows("names"))
async def test_names(target: Target, row: Row) -> None:
    """Whoever that is: the password is asked for next, or the name is refused in its field."""
    body = json.dumps({"uid_field": filled(row["name"], {})})
    await attacked(target, {"status": [200, 302], "body": body, "step": True, "suspect": False, **row})


@pytest.mark.parametrize("row", rows("destinations"))
async def test_destinations(target: Target, row: Row) -> None:
    """A flow of one step, finished with this `next`."""
    await patiently(lambda: finished_once(target, row))


async def finished_once(target: Target, row: Row) -> None:
    before = target.transitions()
    shown = cookies_of(await asked(target, f"GET {DUMMY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))
    inner = row["query"] if "query" in row else "next=" + quote(filled(row["next"], {}), safe="")
    sent = {"body": row.get("body", "{}"), "target": f"{DUMMY}?query={quote(inner, safe='')}", "headers": [SENT, *row.get("headers", ())]}
    answer = await asked(target, request_of(sent, shown))
    assert (answer.status, "evil" in answer.head) == (200, False)
    assert len(answer.head) < 4096
    challenge = json.loads(answer.body)
    wanted: Row = {key: row[key] for key in ("to", "component") if key in row}
    if "message" in row:
        wanted = {"component": "ak-stage-access-denied", "error_message": row["message"]}
    assert wanted == {key: challenge[key] for key in wanted}
    assert target.transitions() == before + target.of_a_start + 1


async def test_guessed_flows(target: Target) -> None:
    """The last test here: an address that has guessed gets 429 for a while, except for flows that were shown."""
    await patiently(lambda: guessed_once(target))


async def guessed_once(target: Target) -> None:
    await started(target)
    before, refused = target.transitions(), None
    for n in range(0, 5 * MISSES, 20):  # by twenties, and on where a machine does not take so many in one window
        guesses = [f"GET /api/v3/flows/executor/guessed-{n + m}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for m in range(20)]
        answers = await asyncio.gather(*(asked(target, guess) for guess in guesses))
        assert {answer.status for answer in answers} <= {404, 429}
        assert not any("Set-Cookie" in answer.head for answer in answers)
        refused = next((answer for answer in answers if answer.status == 429), None)
        if refused:
            break
    assert refused is not None
    assert json.loads(refused.body)["error"] == "flow_guessing"
    assert "Retry-After" in refused.head
    assert target.transitions() == before
    assert set(await started(target)) == {"authentik_session", "sluice_step"}
