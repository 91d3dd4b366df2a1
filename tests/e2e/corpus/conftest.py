"""What the corpus is sent to: the edge in this process with a worker by script, and a whole `sluice up`."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import pytest

from shared.contracts.topics import SESSIONS
from shared.messaging.embedded.sqlite_schema import connect_reader
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import Visitor
from tests.integration.edge.conftest import (  # noqa: F401 - fixtures are found by name
    Rig,
    clients,
    edge_settings,
    limits,
    rig,
)

ONE_STEP: Final = "o-next-hostile-f"
READY_S: Final = 60.0


class Target(Protocol):
    """Something that answers HTTP and tells of its security records."""

    name: str

    @property
    def token(self) -> str:
        """A superuser's bearer token."""
        ...

    @property
    def address(self) -> tuple[str, int]: ...

    def records(self) -> list[str]:
        """The security records so far, as text."""
        ...

    def transitions(self) -> int:
        """How many transitions were written."""
        ...

    @property
    def of_a_start(self) -> int:
        """How many transitions a start writes: none, but for the script, which counts each step."""
        ...


@dataclass
class EdgeTarget:
    rig: Rig
    name: str = "edge"
    token: str = "good-token"
    of_a_start: int = 1

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
    of_a_start: int = 0

    @property
    def token(self) -> str:
        return self.process.token

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.process.base_url)
        return parts.hostname or "", parts.port or 0

    def records(self) -> list[str]:
        whole = self.process.output.rpartition("\n")[0]  # the last line may be on its way
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if str(json.loads(line).get("logger", "")).startswith("security.")]

    def transitions(self) -> int:
        with closing(connect_reader(self.process.data / "log.sqlite")) as log:
            [count] = log.execute("select count(*) from records where topic = ?", (SESSIONS,)).fetchone()
        return int(count)


@pytest.fixture(scope="session")
def sluice_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    folder: Path = tmp_path_factory.mktemp("corpus") / "data"
    with SluiceUp(folder, {"SLUICE_BOOTSTRAP_PASSWORD": "akadmin-of-the-corpus"}) as process:
        make_flow_of_one_step(process)
        yield process


def make_flow_of_one_step(process: SluiceUp) -> None:
    """The flow at whose end `next` counts; returns once a visitor can run it."""
    admin = Visitor(process.base_url)

    def made(path: str, **body: object) -> str:
        answer = admin.ask(f"/api/v3/{path}", body, process.token)
        assert answer.status == 201, answer
        return str(answer.json()["pk"])

    flow = made("flows/instances/", name=ONE_STEP, slug=ONE_STEP, title=ONE_STEP, designation="stage_configuration")
    stage = made("stages/dummy/", name=ONE_STEP)
    made("flows/bindings/", target=flow, stage=stage, order=0)
    deadline = time.monotonic() + READY_S
    while Visitor(process.base_url).ask(f"/api/v3/flows/executor/{ONE_STEP}/").json().get("component") != "ak-stage-dummy":
        assert time.monotonic() < deadline, "the flow is not there"
        time.sleep(1)  # who asks for an unknown flow too often is taken for a guesser


@pytest.fixture
def edge_target(rig: Rig) -> EdgeTarget:  # noqa: F811
    return EdgeTarget(rig)


@pytest.fixture(params=["edge", pytest.param("sluice_up", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "sluice_up":
        return ProcessTarget(request.getfixturevalue("sluice_up"))
    found: EdgeTarget = request.getfixturevalue("edge_target")
    return found
