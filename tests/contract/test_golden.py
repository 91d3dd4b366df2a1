"""What once was written stays readable, byte for byte."""

from pathlib import Path

import pytest

from shared.contracts import wire
from shared.contracts.codec import encode
from shared.contracts.envelope import to_headers
from shared.contracts.model import Contract
from tests.contract.golden_files import all_messages, as_json, envelope_of, example_of, files, path_of, read

MESSAGES = all_messages()
FILES = list(files())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: one.wire_type)
def test_every_message_has_golden_bytes_of_every_version(message: type[Contract]) -> None:
    for version in range(1, message.wire_version + 1):
        assert path_of(message, version).exists(), "write them: python -m tests.contract.golden_files"


@pytest.mark.parametrize(("kind", "version", "path"), FILES, ids=[path.name for _, _, path in FILES])
def test_golden_bytes_read_as_they_always_did(kind: str, version: int, path: Path) -> None:
    assert as_json(read(path, kind, version)) == path.with_suffix(".json").read_text()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: one.wire_type)
def test_the_current_version_is_written_as_its_golden_bytes(message: type[Contract]) -> None:
    kind, version = message.wire_type, message.wire_version
    golden = path_of(message, version).read_bytes()
    assert encode(envelope_of(kind, version), read(path_of(message, version), kind, version))[1] == golden
    assert encode(envelope_of(kind, version), example_of(message))[1] == golden, (
        "the contract changed: raise its version and give an upcaster; or, if no release ever had it, "
        f"python -m tests.contract.golden_files --replace {kind}"
    )


def test_no_message_that_was_ever_written_is_forgotten() -> None:
    known = {message.wire_type: message.wire_version for message in MESSAGES}
    assert {kind for kind, _, _ in FILES} == set(known)
    assert all(version <= known[kind] for kind, version, _ in FILES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: one.wire_type)
def test_golden_bytes_set_every_field(message: type[Contract]) -> None:
    body = wire.unpack(path_of(message, message.wire_version).read_bytes(), 2**20)
    assert set(body) == set(message.model_fields)
    assert None not in body.values()


def test_an_envelope_is_written_as_it_always_was() -> None:
    assert to_headers(envelope_of("executor.step.requested", 1)) == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"id-1"),
        ("ce_type", b"executor.step.requested"),
        ("ce_source", b"tests/contract"),
        ("ce_time", b"2024-11-25T14:44:40.123456Z"),
        ("ce_subject", b"07.AAAAAAAAAAAAAAAAAAAAAA"),
        ("ce_dataversion", b"1"),
        ("content-type", b"application/msgpack"),
        ("ce_subjectversion", b"4"),
        ("ce_parentid", b"parent-1"),
        ("ce_causationid", b"cause-1"),
        ("ce_correlationid", b"conversation-1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    )
