"""An attacker sends JSON whose string never ends, or anything else that makes a reader look at its bytes again and again."""

import asyncio

import pytest

from tests.integration.edge.conftest import Rig
from tests.integration.edge.raw import send
from tests.integration.edge.scripted_worker import AUTH
from tests.security.cost import KIB, Case, per_byte, unfinished

PARSE = "shared.web.strict_json:parse"
DOCUMENTS = [
    Case("a string of escaped quotes without an end", PARSE, '\\"', '"'),
    Case("escaped quotes and no string", PARSE, '\\"'),
    Case("a field of escaped quotes without an end", PARSE, '\\"', '{"password":"'),
    Case("escaped quotes within brackets", PARSE, '\\"', '[["'),
    Case("backslashes", PARSE, "\\", '"'),
    Case("an odd backslash", PARSE, "\\\\", '"\\'),
    Case("a backslash, then a line break, in a string", PARSE, "\\\n", '"'),
    Case("quotes", PARSE, '"'),
    Case("quotes and brackets", PARSE, '"[', "["),
    Case("strings that end, and one that does not", PARSE, '"",', "[", '"'),
    Case("a string that ends, of escaped quotes", PARSE, '\\"', '"', '"'),
    Case("unicode escapes", PARSE, "\\ud83d", '"', '"'),
    Case("half an escape", PARSE, "\\u00", '"'),
    Case("brackets", PARSE, "["),
    Case("brackets that close at once", PARSE, "[],", "[", "0]"),
    Case("braces and keys", PARSE, '{"":'),
    Case("one key, many times", PARSE, '"a":1,', "{", '"a":1}'),
    Case("digits", PARSE, "9"),
    Case("digits after the point", PARSE, "9", "[0.", "]"),
    Case("digits and a far exponent", PARSE, "9", "[", "e-999999]"),
    Case("an exponent", PARSE, "9", "[1e", "]"),
    Case("minus signs", PARSE, "-"),
    Case("blanks", PARSE, " "),
    Case("blanks after it", PARSE, " ", "{}", "x"),
    Case("line breaks before an error", PARSE, "\n", "[", "x"),
    Case("bytes that are not UTF-8", PARSE, "\xff", '"'),
    Case("half of a character before each quote", PARSE, '\xc3"', '"'),
]


@pytest.mark.parametrize("case", DOCUMENTS, ids=lambda case: case.name)
def test_a_byte_costs_the_same_in_a_large_document(case: Case) -> None:
    small, large = per_byte(case, KIB), per_byte(case, 64 * KIB)
    assert large <= small * 1.5 + 0.05, f"{small} steps a byte at 1 KiB, {large} at 64 KiB"


def test_documents_of_4_mib_are_read_to_their_end() -> None:
    assert unfinished(DOCUMENTS) == ""


def test_a_bad_document_is_explained_without_reading_it_again_and_again() -> None:
    again = [Case(case.name, "tests.security.readers:explained", case.unit, case.start, case.end) for case in DOCUMENTS]
    for case in again:
        assert per_byte(case, 64 * KIB) <= per_byte(case, KIB) * 1.5 + 0.05, case.name
    assert unfinished(again) == ""


@pytest.mark.parametrize("unit", [b'\\"', b"\\", b'"', b'"['], ids=repr)
async def test_others_are_answered_while_such_a_document_is_read(rig: Rig, unit: bytes) -> None:
    body = b'"' + unit * ((64 * KIB - 1) // len(unit))
    head = (
        f"POST /api/v3/flows/executor/{AUTH}/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    hostile = [asyncio.create_task(send(rig.address, head.encode() + body)) for _ in range(20)]
    healthy = await send(rig.address, b"GET /-/health/live/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert healthy.status == 200
    for answer in await asyncio.gather(*hostile):
        assert answer.status in (200, 400)
        assert b"ak-stage-flow-error" in answer.body or b"json_" in answer.body
    assert rig.worker.steps == []
