"""Real sandbox workers, and the real service on a log in memory."""

from collections.abc import AsyncIterator

import pytest

from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.bootstrap import PolicyService, build
from services.policy.settings import Settings
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.messaging.embedded import EmbeddedLog

# Generous, because a shared machine takes time away; what is tested is that there is a limit.
LIMITS = Limits(seconds=0.4)


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
    built = await build(Settings(policy_workers=1, policy_time_limit_ms=400), log, SystemClock())
    await built.start()
    yield built
    await built.stop()
