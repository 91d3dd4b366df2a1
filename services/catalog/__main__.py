"""`python -m services.catalog`: the catalog as a process of its own, on Kafka; the same as `sluice run catalog`."""

import sys

from services.catalog.bootstrap import build
from services.catalog.settings import Settings
from shared.runtime.kafka import main

if __name__ == "__main__":
    sys.exit(main("catalog", Settings, build))
