"""`python -m services.executor`: the executor as a process of its own, on Kafka; the same as `sluice run executor`."""

import sys

from services.executor.bootstrap import build
from services.executor.settings import Settings
from shared.runtime.kafka import main

if __name__ == "__main__":
    sys.exit(main("executor", Settings, build))
