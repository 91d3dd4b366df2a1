"""What all tests share: a database, a broker, patience, and the rule that in CI nothing that needs a real part is skipped.

The fixtures stand here and nowhere else: a conftest.py that imports a session fixture has one of its own, and a server with it.
On a machine without Java, Chromium or the recordings those tests are skipped, loudly. With `SLUICE_TEST_NO_SKIP=1` (CI
sets it) such a skip is a failure: a green run then means that everything ran.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures_kafka import kafka_broker
from tests.fixtures_patience import limits_as_shipped, patience
from tests.fixtures_postgres import postgres, postgres_dsn, postgres_schema

__all__ = ["RECORDINGS", "kafka_broker", "limits_as_shipped", "patience", "postgres", "postgres_dsn", "postgres_schema"]

NEVER_SKIPPED_IN_CI = ("kafka", "browser", "front", "shared", "bans")
RECORDINGS = Path(__file__).resolve().parents[2] / "shared"
IN_CI = os.environ.get("SLUICE_TEST_NO_SKIP") == "1"

# No example fails for having taken long on a slow machine; and CI tries the same examples each time: a change lands by what it
# does, not by what was drawn. Everybody else's runs look for new ones.
settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=IN_CI)
settings.load_profile("sluice")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a real part into a failure where nothing may be skipped."""
    report = yield
    marks = [name for name in NEVER_SKIPPED_IN_CI if item.get_closest_marker(name)]
    if report.skipped and marks and IN_CI and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"may not be skipped here (marked {', '.join(marks)}): {report.longrepr}"
    # What hostile input made a test log may hold lone surrogates, and a process that runs tests must say it to the one that reports.
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first; what begins flows is marked, for it has to hold without the cache of starts too."""
    from tests.together import BEGINNING, rank

    items.sort(key=lambda item: rank(item.nodeid))
    for item in items:
        if item.nodeid.startswith(BEGINNING):
            item.add_marker(pytest.mark.starts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Which tests go together when several processes run them (`make test`)."""
    from tests.together import Together

    return Together(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the recordings where there are none (a stranger's clone)."""
    if item.get_closest_marker("shared") and not (RECORDINGS / "transcripts").is_dir():
        pytest.skip(f"needs the recordings in {RECORDINGS}")
