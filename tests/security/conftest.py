"""What attackers are let loose on: the edge in this process with a worker by script."""

from tests.integration.edge.conftest import (  # noqa: F401 - fixtures are found by name
    browser,
    clients,
    edge_settings,
    http,
    limits,
    rig,
)
