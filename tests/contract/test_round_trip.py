"""Whatever a model allows goes over the wire and comes back the same, and one value has one byte string."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.contracts import errors, wire
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope, from_headers, to_headers
from shared.contracts.messages import codec_of
from shared.contracts.model import Contract
from tests.contract.golden_files import all_messages, envelope_of, record_of
from tests.contract.shapes import instances, plains

BOUNDED = settings(max_examples=10, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("message", all_messages(), ids=lambda one: one.wire_type)
@BOUNDED
@given(data=st.data())
def test_a_message_comes_back_as_it_was(message: type[Contract], data: st.DataObject) -> None:
    body: Contract = data.draw(instances(message))
    envelope = envelope_of(message.wire_type, message.wire_version)
    _, value = encode(envelope, body)
    received = codec_of(message).decode(record_of(value, message.wire_type, message.wire_version), 2**20)
    assert received.body == body
    assert received.envelope == envelope
    assert encode(envelope, received.body)[1] == value


@settings(max_examples=200, deadline=None, database=None)
@given(plains())
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert wire.unpack(wire.pack(value), 2**20) == value


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_NUMBER = st.integers(0, 10**16 - 1)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.builds(
        Envelope, id=_TEXT, type=_TEXT, version=_NUMBER, source=_TEXT, subject=_TEXT, time_us=st.integers(0, 253_402_300_799_999_999),
        subject_version=st.none() | _NUMBER, parent=st.none() | _TEXT, causation=st.none() | _TEXT, correlation=st.none() | _TEXT,
        traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    )
)  # fmt: skip
def test_an_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    headers = to_headers(envelope)
    assert from_headers(headers) == envelope
    told = datetime.fromisoformat(dict(headers)["ce_time"].decode())
    assert told == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=envelope.time_us)


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_read_are_the_only_ones_for_their_value(raw: bytes) -> None:
    try:
        value = wire.unpack(raw, 2**20)
    except errors.BadRecord:
        return
    assert wire.pack(value) == raw


@pytest.mark.parametrize("message", all_messages(), ids=lambda one: one.wire_type)
@BOUNDED
@given(data=st.data())
def test_a_copy_is_what_pydantic_would_make_and_leaves_the_original(message: type[Contract], data: st.DataObject) -> None:
    one, other = data.draw(instances(message)), data.draw(instances(message))
    before = one.model_dump()
    for deep in (False, True):
        changes = {name: getattr(other, name) for name in data.draw(st.sets(st.sampled_from(sorted(message.model_fields))))}
        copy, theirs = one.model_copy(update=changes, deep=deep), BaseModel.model_copy(one, update=changes, deep=deep)
        assert (copy, copy.model_fields_set, wire.pack(copy.model_dump())) == (
            theirs,
            theirs.model_fields_set,
            wire.pack(theirs.model_dump()),
        )
        assert one.model_dump() == before
        with pytest.raises(ValidationError):
            copy.anything = 1
