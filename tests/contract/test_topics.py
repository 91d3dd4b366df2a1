"""How long records stay (what is documented is what a broker does), and which messages are read from a topic."""

import pytest

from shared.contracts import errors, sessions, states
from shared.contracts.codec import Codec
from shared.contracts.model import Contract
from shared.contracts.topics import DAY, TOPICS, Topic
from tests.contract.golden_files import path_of, record_of


@pytest.mark.parametrize(
    "topic", [one for one in TOPICS.values() if one.retention_s and one.retention_s <= 30 * DAY], ids=lambda one: one.name
)
def test_a_topic_closes_its_segments_well_within_its_retention(topic: Topic) -> None:
    # A broker deletes and compacts closed segments only, and closes one after a week if it is not told otherwise: facts about
    # people would stay a week in a topic of an hour, and a new owner would read a week of states.
    assert topic.retention_s is not None
    assert topic.segment_s is not None
    assert topic.segment_s * 5 <= topic.retention_s


@pytest.mark.parametrize(
    ("codec", "foreign"), [(sessions.CODEC, states.SessionState), (states.CODEC, sessions.SessionAdvanced)], ids=["history", "states"]
)
def test_a_history_and_what_it_folds_to_are_not_taken_for_each_other(codec: Codec, foreign: type[Contract]) -> None:
    value = path_of(foreign, foreign.wire_version).read_bytes()
    with pytest.raises(errors.UnknownType):
        codec.decode(record_of(value, foreign.wire_type, foreign.wire_version))
