"""What is fuzzed, and which rules no input may break: no error but the reader's own, no more steps than its size is worth."""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from services.catalog.domain.blueprints.document import parse
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.importer import events_of
from services.catalog.domain.objects import Catalog
from services.policy.adapters.sandbox.program import compiled
from shared.contracts import wire
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.errors import BadRecord
from shared.contracts.messages import codec_of
from shared.flows.expression import BadExpression
from shared.messaging.log import Record
from tests.contract.golden_files import all_messages
from tests.fuzz.given import Given
from tests.fuzz.http import http
from tests.fuzz.target import Run, Target
from tests.security.cost import steps

ROOT: Final = Path(__file__).parents[2]
LIMIT: Final = 1024 * 1024
BASE_STEPS: Final = 40_000
STEPS_A_BYTE: Final = 1_000
"""Far above what any text takes (hundreds), far below what a quadratic reader takes of 4 KiB."""


class TooDear(AssertionError):
    """An input cost more than its size is worth."""


def _counted(read: Run) -> Callable[[], AbstractContextManager[Run]]:
    @contextmanager
    def opened() -> Iterator[Run]:
        def run(data: bytes) -> None:
            taken = steps(lambda: read(data))
            if taken > BASE_STEPS + STEPS_A_BYTE * len(data):
                raise TooDear(f"{taken} steps for {len(data)} bytes")

        yield run

    return opened


# --- records ---

_MESSAGES: Final = all_messages()


def records(data: bytes) -> None:
    """A value of a topic: plain values or a `BadRecord`, in exactly one spelling; a message comes out as it went in."""
    given = Given(data)
    message = given.pick(_MESSAGES)
    codec, raw = codec_of(message), given.rest()
    envelope = Envelope("i", message.wire_type, message.wire_version, "fuzz", "s", 1)
    try:
        assert wire.pack(wire.unpack(raw, LIMIT)) == raw
        received = codec.decode(Record("topic", 0, 0, 0, b"s", raw, to_headers(envelope)), LIMIT)
    except BadRecord:
        return
    _, again = encode(received.envelope, received.body)
    assert codec.decode(Record("topic", 0, 0, 0, b"s", again, to_headers(envelope)), LIMIT).body == received.body


def _record_seeds() -> list[bytes]:
    golden = sorted((ROOT / "tests/contract/golden").glob("*.bin"))
    numbers = {message.wire_type: n for n, message in enumerate(_MESSAGES)}
    return [bytes((numbers.get(path.name.rsplit(".", 2)[0], 0),)) + path.read_bytes() for path in golden]


# --- blueprints ---


def blueprints(data: bytes) -> None:
    """A blueprint: events, or a refusal that names the place."""
    number = count()
    try:
        events_of(Catalog(), parse(data, "fuzz.yaml"), lambda: f"00000000-0000-4000-8000-{next(number):012x}")
    except BlueprintRefused as refused:
        if not str(refused):
            raise


def _blueprint_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "services/catalog/flows").glob("*.yaml"))]


# --- expressions ---


def expressions(data: bytes) -> None:
    """An expression: a program that is one, or a refusal in words."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        program = compiled(text)
    except BadExpression as refused:
        if not str(refused):
            raise
    else:
        ast.parse(program.text)


def _expression_seeds() -> list[bytes]:
    return [
        b"return True", b"return request.user.username == 'a'", b"import re\nreturn bool(re.match('a+', 'b'))",
        b"ak_message('no')\nreturn False", b"for n in range(3):\n    if n:\n        continue\nreturn n", b"return regex_match('a', 'b')",
        b"return [x for x in context if x]", b'return f"{request.http_request}"', b"match request:\n    case object(user=u):\n        return u",
        b"return (lambda **a: a)(**{'b': 1})", "return '\u00e9' == \"\"\"x\"\"\"".encode(), b"try:\n    pass\nexcept Exception as e:\n    return e",
    ]  # fmt: skip


TARGETS: Final[Mapping[str, Target]] = {
    "http": http,
    "blueprints": Target(_counted(blueprints), _blueprint_seeds),
    "expressions": Target(_counted(expressions), _expression_seeds),
    "records": Target(_counted(records), _record_seeds),
}
