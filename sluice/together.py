"""All four services on one log behind one listener: what `sluice.embedded` goes on with once this is imported."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from services.catalog import bootstrap as catalog
from services.catalog.settings import Settings as CatalogSettings
from services.executor import bootstrap as executor
from services.executor.administration import Bootstrapped, administration
from services.executor.settings import Settings as ExecutorSettings
from services.planner import bootstrap as planner
from services.planner.settings import Settings as PlannerSettings
from services.policy import bootstrap as policy
from services.policy.settings import Settings as PolicySettings
from shared.contracts.topics import TOPICS
from shared.kernel.clock import SystemClock
from shared.kernel.errors import SluiceError
from shared.kernel.service import Service
from shared.messaging.embedded.log import EmbeddedLog
from shared.runtime import process
from shared.runtime.environment import load
from shared.runtime.listener import Listener, readiness
from shared.runtime.settings import CommonSettings
from shared.runtime.telemetry import ProcessTelemetry
from sluice.data_folder import DataFolder
from sluice.embedded_postgres.server import EmbeddedPostgres
from sluice.welcome import welcome

READY_S: Final = 120.0  # a part that fails is told at once; a slow machine takes its time
POLL_S: Final = 0.01


class NotReady(SluiceError):
    """The services started, but something that they wait for does not come."""

    code = "E_NOT_READY"


async def serve(stack: AsyncExitStack, settings: CommonSettings, folder: DataFolder, postgres: EmbeddedPostgres) -> None:
    """Start everything else, say where to log in, and watch over it; the stack stops it."""
    clock = SystemClock()
    await process.started(stack, ProcessTelemetry("sluice", settings))
    log = await EmbeddedLog.open(TOPICS, folder.log, clock)
    stack.push_async_callback(log.close)
    executor_settings = load(ExecutorSettings, role="both", **given(settings, postgres.dsn_for("executor")))
    services: list[Service] = [
        await catalog.build(load(CatalogSettings, **given(settings, postgres.dsn_for("catalog"))), log, clock),
        await policy.build(load(PolicySettings, **given(settings)), log, clock),
        await planner.build(load(PlannerSettings, **given(settings)), log, clock),
        await executor.build(executor_settings, log, clock),
    ]
    for service in services:
        for reach in service.needs().values():  # another secret key than this folder's is refused here
            await reach()
    for service in services:  # who is asked comes before who asks
        await process.started(stack, service)
    listener = Listener(services, settings, clock, log.lacking)
    await process.started(stack, listener)
    await _until_ready(services)
    # the last thing before it is told, so that no failure can swallow the password
    first = await _first_administrator(executor_settings, postgres.dsn_for("executor"))
    sys.stdout.write(welcome(listener.address, folder.path, first.password, settings.path))
    sys.stdout.flush()
    process.settle()
    await process.until_failure(services, [postgres.wait()])


async def _first_administrator(settings: ExecutorSettings, dsn: str) -> Bootstrapped:
    """Made here and not by the executor, because a made-up password has to be told to whoever sits here."""
    async with administration(dsn, settings) as users:
        return await users.ensure_admin(
            password=settings.bootstrap_password.get_secret_value() if settings.bootstrap_password else None,
            token=settings.bootstrap_token.get_secret_value() if settings.bootstrap_token else None,
            email=settings.bootstrap_email,
        )


def given(settings: CommonSettings, database: str | None = None) -> dict[str, Any]:
    """What goes before the environment in a service's own settings: this process has one port and its own PostgreSQL."""
    return {"listen": settings.listen, "metrics_listen": settings.metrics_listen, "secret_key": settings.secret_key, "database": database}


async def _until_ready(services: Sequence[Service]) -> None:
    try:
        async with asyncio.timeout(READY_S):
            while not all(readiness(services).values()):
                process.refuse_failed(services)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        missing = ", ".join(name for name, good in readiness(services).items() if not good)
        raise NotReady(f"not ready after {READY_S:.0f} s: {missing}") from None
