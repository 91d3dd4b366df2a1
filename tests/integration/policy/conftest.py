"""Real sandbox workers, and the real service on a log in memory."""

from collections.abc import AsyncIterator

import pytest

from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.bootstrap import PolicyService, build
from services.policy.settings import Settings
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded import EmbeddedLog

# A minute, because a shared machine takes time away; what ends by its time is given little of it by its test.
LIMITS = Limits(seconds=60.0)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    pool = Workers(1, LIMITS)
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
async def log() -> AsyncIterator[EmbeddedLog]:
    opened = await EmbeddedLog.open(TOPICS)
    yield opened
    await opened.close()


@pytest.fixture
async def service(log: EmbeddedLog) -> AsyncIterator[PolicyService]:
    built = await build(Settings(policy_workers=1, policy_time_limit_ms=10_000), log, SystemClock())
    await built.start()
    yield built
    await built.stop()
