"""`python -m services.planner`: the planner as a process of its own, on Kafka; the same as `sluice run planner`."""

import sys

from services.planner.bootstrap import build
from services.planner.settings import Settings
from shared.runtime.kafka import main

if __name__ == "__main__":
    sys.exit(main("planner", Settings, build))
