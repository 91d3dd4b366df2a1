"""One real cluster for the tests of this folder: broker, PostgreSQL, four services, each a process."""

from collections.abc import Iterator

import pytest

from deploy.cluster import Cluster
from deploy.kafka.broker import missing
from tests.e2e.cluster.seeing import DONE, LOGIN, eventually
from tests.e2e.visitor import Visitor

ENVIRONMENT = {"SLUICE_ATTEMPTS_PER_ADDRESS": "100000", "SLUICE_SET_ASIDE_LOOK_SECONDS": "1"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lacking = missing()
    if lacking:
        pytest.skip(f"no Kafka here: {lacking}")
    made = Cluster(tmp_path_factory.mktemp("cluster") / "c", ENVIRONMENT, quick_start=True)
    made.start()
    # Ready is said before what the catalog has published has reached the planner, and before there is an administrator.
    eventually(lambda: Visitor(made.url).ask(LOGIN).status, lambda status: status == 200, pause_s=1)
    eventually(lambda: Visitor(made.url).log_in("akadmin", made.password)["component"], lambda component: component == DONE, pause_s=1)
    yield made
    made.stop()
