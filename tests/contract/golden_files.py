"""The golden bytes of every message: what once was written must be readable for ever.

`<type>.v<version>.bin` holds a record's value, `.json` what it reads as today. A file is written once, by

    python -m tests.contract.golden_files            # for messages and versions that have none
    python -m tests.contract.golden_files --replace TYPE...   # before a contract was ever released

and never by a test.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.contracts.codec import DEFAULT_LIMIT, encode
from shared.contracts.envelope import Envelope, Headers, to_headers
from shared.contracts.kept import KEPT
from shared.contracts.messages import MESSAGES, codec_of
from shared.contracts.model import Contract
from shared.messaging.log import Record
from tests.contract.shapes import example

FOLDER = Path(__file__).parent / "golden"
SUBJECT = "07.AAAAAAAAAAAAAAAAAAAAAA"


def all_messages() -> tuple[type[Contract], ...]:
    return (*(message for messages in MESSAGES.values() for message in messages), *KEPT)


def path_of(message: type[Contract], version: int) -> Path:
    return FOLDER / f"{message.wire_type}.v{version}.bin"


def files() -> Iterator[tuple[str, int, Path]]:
    """Every golden file there is: type, version, path."""
    for path in sorted(FOLDER.glob("*.bin")):
        kind, _, version = path.stem.rpartition(".v")
        yield kind, int(version), path


def envelope_of(kind: str, version: int) -> Envelope:
    return Envelope(
        "id-1", kind, version, "tests/contract", SUBJECT, 1_732_545_880_123_456, 4, "parent-1", "cause-1", "conversation-1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )  # fmt: skip


def record_of(
    value: bytes | None, kind: str, version: int, *, key: bytes | None = SUBJECT.encode(), headers: Headers | None = None
) -> Record:
    return Record("any", 7, 0, 0, key, value, to_headers(envelope_of(kind, version)) if headers is None else headers)


def example_of(message: type[Contract]) -> Contract:
    made = example(message)
    assert isinstance(made, message)
    return made


def read(path: Path, kind: str, version: int) -> Contract:
    known = {message.wire_type: message for message in all_messages()}
    return codec_of(known[kind]).decode(record_of(path.read_bytes(), kind, version)).body


def as_json(body: Contract) -> str:
    return json.dumps(_jsonable(body.model_dump()), indent=1, ensure_ascii=False) + "\n"


def _jsonable(value: Any) -> Any:
    match value:
        case bytes():
            return {"$bytes": value.hex()}
        case tuple():
            return [_jsonable(item) for item in value]
        case dict():
            return {key: _jsonable(item) for key, item in value.items()}
        case _:
            return value


def write(message: type[Contract]) -> None:
    body = example_of(message)
    _, value = encode(envelope_of(message.wire_type, message.wire_version), body)
    record = record_of(value, message.wire_type, message.wire_version)
    assert codec_of(message).decode(record, DEFAULT_LIMIT).body == body
    path = path_of(message, message.wire_version)
    path.write_bytes(value)
    path.with_suffix(".json").write_text(as_json(read(path, message.wire_type, message.wire_version)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.golden_files")
    parser.add_argument("--replace", nargs="+", default=[], metavar="TYPE", help="write these anew, though they are there; `all` for all")
    replaced = parser.parse_args().replace
    FOLDER.mkdir(exist_ok=True)
    for message in all_messages():
        if not path_of(message, message.wire_version).exists() or message.wire_type in replaced or "all" in replaced:
            write(message)
            sys.stdout.write(f"{message.wire_type}.v{message.wire_version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
