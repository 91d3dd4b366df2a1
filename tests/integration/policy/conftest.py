"""Real sandbox workers, and the real service on a log in memory."""

from collections.abc import AsyncIterator, Iterator

import pytest

from services.policy.adapters.sandbox.workers import Limits, Workers
from services.policy.bootstrap import PolicyService, build
from services.policy.settings import Settings
from shared.kernel.clock import SystemClock
from shared.messaging.embedded.log import EmbeddedLog
from tests.signing import opened, signing

# A minute, because a shared machine takes time away; what ends by its time is given little of it by its test.
LIMITS = Limits(seconds=60.0)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    pool = Workers(1, LIMITS)
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture(params=[False, True], ids=["", "signed"])
def may_be_signed(request: pytest.FixtureRequest) -> Iterator[None]:
    with signing(request.param):
        yield


@pytest.fixture
async def log(may_be_signed: None) -> AsyncIterator[EmbeddedLog]:
    log = await opened()
    yield log
    await log.close()


@pytest.fixture
async def service(log: EmbeddedLog) -> AsyncIterator[PolicyService]:
    built = await build(Settings(policy_workers=1, policy_time_limit_ms=10_000), log, SystemClock())
    await built.start()
    yield built
    await built.stop()
