"""A collector, and an environment in which no other one is named."""

import os
from collections.abc import Iterator

import pytest

from tests.integration.telemetry.collector import Collector


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running
