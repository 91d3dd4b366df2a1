"""What the corpus is sent to: the edge in this process with a worker by script, and a whole `sluice up`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from tests.e2e.sluice_process import SluiceUp
from tests.integration.edge.conftest import (  # noqa: F401 - fixtures are found by name
    Rig,
    clients,
    edge_settings,
    limits,
    rig,
)


class Target(Protocol):
    """Something that answers HTTP and tells of its security records."""

    name: str

    @property
    def address(self) -> tuple[str, int]: ...

    def records(self) -> list[str]:
        """The security records so far, as text."""
        ...

    def transitions(self) -> int:
        """How many transitions were written; 0 where nobody can see."""
        ...


@dataclass
class EdgeTarget:
    rig: Rig
    name: str = "edge"

    @property
    def address(self) -> tuple[str, int]:
        return self.rig.address

    def records(self) -> list[str]:
        return self.rig.records.kinds

    def transitions(self) -> int:
        return self.rig.worker.transitions


@dataclass
class ProcessTarget:
    process: SluiceUp
    name: str = "sluice_up"

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.process.base_url)
        return parts.hostname or "", parts.port or 0

    def records(self) -> list[str]:
        lines = [line for line in self.process.output.splitlines() if line.startswith("{")]
        return [line for line in lines if str(json.loads(line).get("logger", "")).startswith("security.")]

    def transitions(self) -> int:
        return 0


@pytest.fixture(scope="session")
def sluice_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    folder: Path = tmp_path_factory.mktemp("corpus") / "data"
    with SluiceUp(folder) as process:
        yield process


@pytest.fixture
def edge_target(rig: Rig) -> EdgeTarget:  # noqa: F811
    return EdgeTarget(rig)


@pytest.fixture(params=["edge", pytest.param("sluice_up", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "sluice_up":
        return ProcessTarget(request.getfixturevalue("sluice_up"))
    found: EdgeTarget = request.getfixturevalue("edge_target")
    return found
