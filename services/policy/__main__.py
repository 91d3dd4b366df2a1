"""`python -m services.policy`: the policy as a process of its own, on Kafka; the same as `sluice run policy`."""

import sys

from services.policy.bootstrap import build
from services.policy.settings import Settings
from shared.runtime.kafka import main

if __name__ == "__main__":
    sys.exit(main("policy", Settings, build))
