"""`sluice topics acls` says what the table of writers says, in commands that a shell takes as they are."""

import shlex

import pytest
from typer.testing import CliRunner

from services.executor.sessions.owner import GROUP as EXECUTOR
from services.planner.adapters.stream.member import GROUP as PLANNER
from services.policy.adapters.stream.member import GROUP as POLICY
from shared.contracts.asyncapi import READERS
from shared.contracts.topics import TOPICS
from shared.contracts.writers import GROUPS, SERVICES, WRITERS
from sluice.acls import NoPrincipal, commands, matrix, principals_of
from sluice.cli import app


def printed(*options: str) -> list[str]:
    done = CliRunner().invoke(app, ["topics", "acls", *options], env={"SLUICE_KAFKA": "broker:9092"})
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_the_table_has_every_reader_and_group_that_there_is() -> None:
    for topic, roles in READERS.items():
        services = {role.split()[0] for role in roles}
        # the catalog reads what it wrote itself, to say again what somebody wrote over
        assert services <= set(WRITERS[topic].readers) <= services | set(WRITERS[topic].services), topic
    assert GROUPS == {"planner": (PLANNER,), "policy": (POLICY,), "executor": (EXECUTOR,)}


def test_the_commands_allow_what_the_table_says_and_nothing_else() -> None:
    allowed = set()
    for line in printed("--reader", "User:siem"):
        if not line.startswith("#"):
            words = shlex.split(line)
            assert words[:4] == ["kafka-acls.sh", "--bootstrap-server", "broker:9092", "--add"]
            assert (words[4], words[6]) == ("--allow-principal", "--operation")
            allowed |= {(words[5], words[7], kind, name) for kind, name in zip(words[8::2], words[9::2], strict=True)}
    wanted = {(f"User:{service}", "Write", "--topic", topic) for topic, rule in WRITERS.items() for service in rule.services}
    wanted |= {(f"User:{service}", "Read", "--topic", topic) for topic, rule in WRITERS.items() for service in rule.readers}
    wanted |= {(f"User:{service}", "Read", "--group", group) for service, groups in GROUPS.items() for group in groups}
    wanted |= {("User:siem", "Read", "--topic", topic) for topic in TOPICS}
    assert allowed == wanted


def test_the_matrix_names_every_topic_and_service() -> None:
    head, *rows = [line.split() for line in matrix()]
    assert head == list(SERVICES)
    assert [row[0] for row in rows] == [*TOPICS, "(group)"]
    assert {row[0]: row[1:] for row in rows}["policy.verdicts"] == ["-", "R", "W", "R"]


def test_principals_of_another_kind_are_quoted_for_the_shell() -> None:
    lines = printed("--principal", "planner=User:CN=a planner,O='x'", "--command-config", "my admin.properties")
    planners = [shlex.split(line) for line in lines if "a planner" in line]
    assert len(planners) == 3
    assert all(words[3:5] == ["--command-config", "my admin.properties"] and words[7] == "User:CN=a planner,O='x'" for words in planners)


@pytest.mark.parametrize("wrong", ["planner", "root=User:x", "planner=", "planner=x", "planner=User:", "=User:x"])
def test_what_names_nobody_is_refused(wrong: str) -> None:
    with pytest.raises(NoPrincipal):
        principals_of([wrong])


def test_no_right_on_the_cluster_and_none_to_change_a_topic_is_given() -> None:
    words = {word for arguments in commands(principals_of(()), ()) for word in arguments}
    assert not words & {"--cluster", "Create", "Delete", "Alter", "AlterConfigs", "All", "*"}
