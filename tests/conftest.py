"""What all tests share: one database and one broker for the run, and the rule that in CI nothing that needs a real part is skipped.

The fixtures stand here and nowhere else: a conftest.py that imports a session fixture has one of its own, and a server with it.
On a machine without Java, Chromium or the recordings those tests are skipped, loudly. With `SLUICE_TEST_NO_SKIP=1` (CI
sets it) such a skip is a failure: a green run then means that everything ran.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.fixtures_kafka import kafka_broker
from tests.fixtures_postgres import postgres, postgres_dsn, postgres_schema

__all__ = ["RECORDINGS", "kafka_broker", "postgres", "postgres_dsn", "postgres_schema"]

NEVER_SKIPPED_IN_CI = ("kafka", "browser", "shared")
RECORDINGS = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a real part into a failure where nothing may be skipped."""
    report = yield
    marks = [name for name in NEVER_SKIPPED_IN_CI if item.get_closest_marker(name)]
    if report.skipped and marks and os.environ.get("SLUICE_TEST_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"may not be skipped here (marked {', '.join(marks)}): {report.longrepr}"
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the recordings where there are none (a stranger's clone)."""
    if item.get_closest_marker("shared") and not (RECORDINGS / "transcripts").is_dir():
        pytest.skip(f"needs the recordings in {RECORDINGS}")
