"""A record and its row are the same thing, and the row's headers are JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.embedded.sqlite_schema import from_row, to_row
from shared.messaging.log import Record

HEADERS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary())).map(tuple)


@given(st.none() | st.binary(), st.none() | st.binary(), HEADERS)
def test_a_row_gives_its_record_back(key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
    record = Record("t", 1, 2, 3, key, value, headers)
    assert from_row(to_row(record)) == record


@given(HEADERS)
def test_headers_are_json_in_their_order(headers: tuple[tuple[str, bytes], ...]) -> None:
    row = to_row(Record("t", 1, 2, 3, None, None, headers))
    assert [name for name, _ in json.loads(row[6])] == [name for name, _ in headers]
