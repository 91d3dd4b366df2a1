"""The checked-in AsyncAPI document says what the contracts say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contracts import asyncapi
from shared.contracts.kept import KEPT
from shared.contracts.messages import CODECS, MESSAGES, codec_of
from shared.contracts.topics import TOPICS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "asyncapi.yaml"


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load(asyncapi.rendered())


def test_the_document_is_current() -> None:
    assert FILE.read_text() == asyncapi.rendered(), "make asyncapi"


def test_the_command_says_whether_a_file_is_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "asyncapi.yaml"
    assert asyncapi.main(["--check", str(FILE)]) == 0
    assert asyncapi.main(["--check", str(old)]) == 1
    old.write_text(FILE.read_text() + "\n")
    assert asyncapi.main(["--check", str(old)]) == 1
    assert "is not current" in capsys.readouterr().err


def test_the_command_writes_the_document() -> None:
    made = subprocess.run([sys.executable, "-m", "shared.contracts.asyncapi"], capture_output=True, cwd=ROOT, check=True)
    assert made.stdout.decode() == asyncapi.rendered()


def test_every_topic_and_every_message_is_there(document: Any) -> None:
    assert set(document["channels"]) == set(TOPICS) == set(MESSAGES) == set(asyncapi.READERS)
    kept_in_a_database = {message.wire_type for message in KEPT}
    known = {message.wire_type for codec in CODECS for message in codec.messages} - kept_in_a_database
    assert set(document["components"]["messages"]) == known
    for messages in MESSAGES.values():
        for message in messages:
            assert message in codec_of(message).messages


def test_every_reference_leads_somewhere(document: Any) -> None:
    def followed(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
            for inner in node.values():
                followed(inner)
        elif isinstance(node, list):
            for inner in node:
                followed(inner)

    followed(document)


def test_every_topic_has_a_writer_and_requests_have_replies(document: Any) -> None:
    sent = {one["channel"]["$ref"] for one in document["operations"].values() if one["action"] == "send"}
    assert sent == {f"#/channels/{topic}" for topic in TOPICS}
    assert document["operations"]["executor-worker.send.planner.requests"]["reply"]["channel"]["$ref"] == "#/channels/planner.plans"


def test_a_channel_says_what_the_broker_is_told(document: Any) -> None:
    for name, topic in TOPICS.items():
        binding = document["channels"][name]["bindings"]["kafka"]
        assert binding["partitions"] == topic.partitions
        assert binding["topicConfiguration"]["cleanup.policy"] == list(topic.cleanup)
        assert binding["topicConfiguration"].get("retention.ms") == (topic.retention_s and topic.retention_s * 1000)


def test_discriminators_are_names_of_properties(document: Any) -> None:
    events = document["components"]["schemas"]["SessionAdvanced"]["properties"]["events"]["items"]
    assert events["discriminator"] == "event"
    assert len(events["oneOf"]) > 10
