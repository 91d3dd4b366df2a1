"""The embedded log's file: its tables, and how a record becomes a row that a person can read with any SQLite client.

    select topic, partition, offset, datetime(timestamp_ms / 1000, 'unixepoch'), key, headers from records;

`headers` is a JSON list of `[name, value]` in their order (a name may come twice); a value that is not UTF-8 text
stands as `{"base64": "..."}`. `key` and `value` are the bytes as appended: keys are text, values msgpack. Topics kept
an hour or less are not in the file (architecture §7).
"""

import base64
import json
import sqlite3
from json.encoder import encode_basestring
from pathlib import Path
from typing import Final

from shared.messaging.log import Headers, Record, Refused, TopicPartition

FORMAT: Final = 1

SCHEMA: Final = """
create table if not exists topics (
    topic text primary key, partitions integer not null, cleanup text not null, retention_s integer) without rowid;
create table if not exists records (
    topic text not null, partition integer not null, offset integer not null, timestamp_ms integer not null,
    key blob, value blob, headers text not null,
    primary key (topic, partition, offset));
create table if not exists bounds (
    topic text not null, partition integer not null, first_offset integer not null, next_offset integer not null,
    primary key (topic, partition)) without rowid;
create table if not exists group_offsets (
    group_name text not null, topic text not null, partition integer not null, offset integer not null,
    primary key (group_name, topic, partition)) without rowid;
"""

INSERT: Final = "insert into records values (?, ?, ?, ?, ?, ?, ?)"

SELECT: Final = """
select topic, partition, offset, timestamp_ms, key, value, headers from records
where topic = ? and partition = ? and offset >= ? and offset < ? order by offset limit ?
"""

Row = tuple[str, int, int, int, bytes | None, bytes | None, str]


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the file to append, make what it lacks; only its owner may read it, for it names people."""
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    found = connection.execute("pragma user_version").fetchone()[0]
    if found not in (0, FORMAT):
        connection.close()
        raise Refused(f"{path} has log format {found}, this program knows {FORMAT}")
    connection.executescript(SCHEMA)
    connection.execute(f"pragma user_version = {FORMAT}")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file to read only, also while another process appends to it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    connection.execute("pragma query_only = on")
    return connection


def bounds_of(connection: sqlite3.Connection, place: TopicPartition) -> tuple[int, int]:
    """The first and the next offset of a partition; an emptied one still knows its next."""
    saved = connection.execute("select first_offset, next_offset from bounds where topic = ? and partition = ?", place).fetchone()
    first, following = saved or (0, 0)
    last = connection.execute("select max(offset) from records where topic = ? and partition = ?", place).fetchone()[0]
    return first, following if last is None else max(following, last + 1)


def to_row(record: Record) -> Row:
    """A record as a row of `records`."""
    return (record.topic, record.partition, record.offset, record.timestamp_ms, record.key, record.value, _to_json(record.headers))


def from_row(row: Row) -> Record:
    """The record in a row."""
    return Record(*row[:6], _from_json(row[6]))


def _to_json(headers: Headers) -> str:
    # by hand from the encoder's own string function: half the cost of an encoder call, several times per step
    return "[" + ",".join([f"[{_quote(name)},{_to_text(value)}]" for name, value in headers]) + "]"


def _to_text(value: bytes) -> str:
    try:
        return _quote(value.decode())
    except UnicodeDecodeError:
        return f'{{"base64":"{base64.b64encode(value).decode()}"}}'


def _from_json(text: str) -> Headers:
    # A new owner reads a hundred thousand states of a dozen headers each.
    pairs, _ = _decode(text)
    return tuple([(name, value.encode() if type(value) is str else base64.b64decode(value["base64"])) for name, value in pairs])


_quote = encode_basestring
_decode = json.JSONDecoder().raw_decode
