"""Limits of the product that are a visitor's patience (a second for the log, for PostgreSQL) are a minute in the tests' own process.

A test machine stands still for a second now and then, and a limit that fires then fails a test of something else. A test
that is about such a limit asks for `limits_as_shipped`, or sets its own. In `tests/conftest.py`.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from services.catalog.application.editing import Editing
from services.executor.directory.directory import open_directory
from shared.postgres.pool import open_pool

PATIENT_S: Final = 60.0
LIMITS: Final = {
    "services.catalog.bootstrap.LIMIT_S": PATIENT_S,
    "services.executor.sessions.asking.TIMEOUT_S": PATIENT_S,
    "services.executor.sessions.journal.READ_BACK_S": PATIENT_S,
    "services.executor.sessions.catching_up.CATCH_UP_S": PATIENT_S,
    "services.planner.application.asking_policy.TIMEOUT_US": round(PATIENT_S * 1e6),
    "services.policy.adapters.sandbox.workers.CHECKOUT_S": PATIENT_S,
    "services.policy.adapters.sandbox.workers.STARVED_S": PATIENT_S,
    "services.policy.application.decide.BODY_WAIT_S": PATIENT_S,
    "shared.messaging.embedded.journal.APPEND_TIMEOUT_S": PATIENT_S,
    "shared.messaging.kafka.log.ANSWER_S": PATIENT_S,
    "shared.messaging.kafka.check.ANSWER_MS": round(PATIENT_S * 1000),
    "shared.messaging.kafka.commits.ANSWER_S": PATIENT_S,
    "shared.messaging.kafka.producer.APPEND_TIMEOUT_S": PATIENT_S,
    "shared.postgres.pool.TIMEOUT": PATIENT_S,
}


def _patient(patch: pytest.MonkeyPatch) -> None:
    for name, limit in LIMITS.items():
        patch.setattr(name, limit)
    # These took theirs over as a default when they were defined.
    for opens in (open_pool, open_directory):
        patch.setattr(opens, "__kwdefaults__", {**(opens.__kwdefaults__ or {}), "limit_s": PATIENT_S})
    patch.setattr(Editing.__init__, "__defaults__", (PATIENT_S,))


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[pytest.MonkeyPatch]:
    """The limits are a minute; what is handed out can take that back."""
    with pytest.MonkeyPatch.context() as patch:
        _patient(patch)
        yield patch


@pytest.fixture
def limits_as_shipped(patience: pytest.MonkeyPatch) -> Iterator[None]:
    """The limits that visitors have, for one test and what it makes."""
    patience.undo()
    yield
    _patient(patience)
