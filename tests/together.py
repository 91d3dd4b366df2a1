"""Which tests share a process when several run them, which come first, and which have to hold without the cache of starts too.

The longest groups come first, or one process is still at one when the others have nothing left.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

SHARING: Final = ("tests/e2e/browser/", "tests/integration/kafka_security/", "tests/e2e/fronts/", "tests/e2e/corpus/")
"""Folders with one browser, broker or front for all that is in them."""
LONGEST: Final = (
    "tests/e2e/cluster/test_faults.py", "tests/e2e/browser/", "tests/e2e/cluster/test_silent_leader.py", "tests/security/test_bytes_that_cost_more.py",
    "tests/e2e/cluster/test_poison_on_every_topic.py", "tests/e2e/embedded/test_up.py", "tests/e2e/cluster/test_lost_records.py",
    "tests/integration/policy/test_sandbox.py", "tests/e2e/cluster/test_sleepers.py", "tests/security/test_secrets_that_stay.py",
    "tests/e2e/cluster/test_another_secret.py", "tests/conformance/log/test_kafka_coordination.py", "tests/e2e/cluster/test_waiting.py",
    "tests/e2e/cluster/test_logins_over_kafka.py", "tests/conformance/log/test_kafka.py", "tests/conformance/log/test_kafka_shrunk.py",
    "tests/e2e/embedded/test_lost_records.py", "tests/conformance/log/test_groups.py", "tests/integration/postgres_server/test_server.py",
    "tests/compat/test_recordings.py", "tests/integration/policy/test_service.py", "tests/integration/kafka_security/",
    "tests/security/test_seeded_bugs.py", "tests/unit/cli/test_commands.py", "tests/unit/cli/test_keys.py",
)  # fmt: skip
"""The groups that take longest, those that wait among those that reckon, so that two clusters seldom run at a time (`pytest --durations=0`)."""
BEGINNING: Final = (
    "tests/unit/executor/", "tests/compat/", "tests/e2e/embedded/",
    *(
        f"tests/security/test_{name}.py"
        for name in (
            "accounts_that_weigh_more", "careless_stage_types", "cookies_planted_before_the_visitor_came", "form_noted_on_a_shared_computer",
            "log_in_after_the_password_was_deleted", "log_in_without_a_proof", "names_that_leak", "repeats_of_a_first_page",
            "repeats_with_another_body", "rotations_that_keep_others_out", "runs_spliced_between_sessions", "runs_that_outlive_their_flow",
            "secrets_that_stay", "sessions_for_nothing", "tabs_more_than_are_remembered",
        )
    ),
)  # fmt: skip
"""What begins flows: it has to come out the same with `SLUICE_TEST_CACHED_STARTS=0` (`pytest -m starts`, in `.ci/run`)."""


def group_of(test: str) -> str:
    """The folder or the file of a test's id."""
    file = test.partition("::")[0]
    return next((folder for folder in SHARING if file.startswith(folder)), file)


def rank(test: str) -> int:
    """How early a test comes."""
    group = group_of(test)
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Gives out whole groups. (pytest-xdist's own `loadgroup` loses its groups with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
