"""Puts the executor together: the only folder of the service that knows all its parts, a file for each of its roles."""

from services.executor.bootstrap.edge_role import EdgeRole
from services.executor.bootstrap.executor import NAME, Executor
from services.executor.bootstrap.worker_role import WorkerRole
from services.executor.directory.directory import open_directory
from services.executor.directory.hashing import HashPool
from services.executor.directory.telling import at_once
from services.executor.directory.users import Users
from services.executor.settings import Settings
from shared.kernel.clock import Clock
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log
from shared.telemetry.metrics import count_dead_letter, metrics


async def build(settings: Settings, log: Log, clock: Clock) -> Executor:
    """The executor on this log; `Misconfigured` without a database or a secret key."""
    if settings.database is None or settings.secret_key is None:
        missing = "database" if settings.database is None else "secret_key"
        raise Misconfigured(f"{variable(missing)}: the executor needs it")
    database = await open_directory(settings.database.get_secret_value(), size=settings.database_connections)
    secret = settings.secret_key.get_secret_value()
    hashes = HashPool(clock, settings.hash_target, observe_wait=lambda s: metrics().hash_wait(s))
    dead_letters = DeadLetters(log, NAME, clock, count_dead_letter)
    users = Users(database, hashes, clock, at_once(log))
    edge = EdgeRole(settings, log, clock, database, users, secret, dead_letters) if settings.role != "worker" else None
    at_home = edge.hand_over if edge else lambda _: False
    worker = WorkerRole(settings, log, clock, database, hashes, secret, dead_letters, at_home) if settings.role != "edge" else None
    return Executor(settings, database, hashes, users, clock, worker, edge, dead_letters)
