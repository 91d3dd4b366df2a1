"""How long records stay: what is documented is what a broker does."""

import pytest

from shared.contracts.topics import DAY, TOPICS, Topic


@pytest.mark.parametrize(
    "topic", [one for one in TOPICS.values() if one.retention_s and one.retention_s <= 30 * DAY], ids=lambda one: one.name
)
def test_a_topic_closes_its_segments_well_within_its_retention(topic: Topic) -> None:
    # A broker deletes and compacts closed segments only, and closes one after a week if it is not told otherwise: facts about
    # people would stay a week in a topic of an hour, and a new owner would read a week of states.
    assert topic.retention_s is not None
    assert topic.segment_s is not None
    assert topic.segment_s * 5 <= topic.retention_s
