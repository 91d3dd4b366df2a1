"""How a contract grows: open enumerations, versions, upcasters."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from shared.contracts import errors, wire
from shared.contracts.codec import Codec
from shared.contracts.directory import EVENTS_CODEC, UserChanged
from shared.contracts.model import Contract
from tests.contract.golden_files import example_of, record_of


class Renamed(Contract):
    """A toy: version 1 had `name`, version 2 `first` and `last`, version 3 counts."""

    wire_type: ClassVar[str] = "toy.renamed"
    wire_version: ClassVar[int] = 3
    first: str
    last: str
    count: int


def split(body: Mapping[str, Any]) -> Mapping[str, Any]:
    first, _, last = body["name"].partition(" ")
    return {"first": first, "last": last}


def counted(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**body, "count": 0}


CODEC = Codec((Renamed,), {("toy.renamed", 1): split, ("toy.renamed", 2): counted})


def read(body: dict[str, Any], version: int) -> Contract:
    return CODEC.decode(record_of(wire.pack(body), "toy.renamed", version)).body


def test_older_versions_are_brought_up_one_step_at_a_time() -> None:
    ada = Renamed(first="Ada", last="Lovelace", count=0)
    assert read({"name": "Ada Lovelace"}, 1) == ada
    assert read({"first": "Ada", "last": "Lovelace"}, 2) == ada
    assert read({"first": "Ada", "last": "Lovelace", "count": 5}, 3) == ada.model_copy(update={"count": 5})


def test_a_version_of_the_future_is_refused() -> None:
    with pytest.raises(errors.BadVersion):
        read({"first": "Ada", "last": "Lovelace", "count": 5}, 4)


@pytest.mark.parametrize("body", [{}, {"name": 7}, {"name": None}, {"first": "Ada"}])
def test_an_old_message_that_is_broken_is_refused_like_any_other(body: dict[str, Any]) -> None:
    with pytest.raises(errors.BadRecord):
        read(body, 1)


def test_a_version_without_an_upcaster_is_a_mistake_found_at_start() -> None:
    with pytest.raises(ValueError, match="no upcaster from version 2"):
        Codec((Renamed,), {("toy.renamed", 1): split})


def test_two_messages_of_one_name_are_a_mistake_found_at_start() -> None:
    with pytest.raises(ValueError, match="two messages"):
        Codec((Renamed, Renamed), {("toy.renamed", 1): split, ("toy.renamed", 2): counted})


def test_a_value_that_a_newer_writer_added_reads_as_unknown() -> None:
    body = example_of(UserChanged).model_dump()
    received = EVENTS_CODEC.decode(record_of(wire.pack({**body, "what": "teleported"}), UserChanged.wire_type, 1)).body
    assert isinstance(received, UserChanged)
    assert received.what == "unknown"


@pytest.mark.parametrize("value", [None, 1, ("created",), b"created"])
def test_only_texts_read_as_unknown(value: Any) -> None:
    body = example_of(UserChanged).model_dump()
    with pytest.raises(errors.BadType):
        EVENTS_CODEC.decode(record_of(wire.pack({**body, "what": value}), UserChanged.wire_type, 1))
