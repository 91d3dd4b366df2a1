"""A whole executor in this process: socket, edge and a real worker over the log in memory; directory, planner and policy by script."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from services.executor.common.sealing import mark, marking_key, open_sealed, private_key
from services.executor.edge.edge import Edge
from services.executor.edge.settings import EdgeSettings
from shared.contracts import topics
from shared.contracts.planner import PlannedStage
from shared.contracts.steps import Sealed
from shared.messaging.log import TopicPartition
from shared.web import health
from shared.web.app import make_app
from shared.web.client import Clients
from shared.web.limits import Limits
from shared.web.security_log import SecurityLog
from shared.web.server import Listener
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.conftest import FakeLogins, FakeRevocations, Records
from tests.integration.edge.scripted_worker import Keys
from tests.unit.executor.world import World


class Opener:
    """Opens what the edge sealed."""

    def __init__(self, keys: Keys) -> None:
        self._key = private_key(keys.private)
        self._marks = marking_key(keys.private)

    async def open(self, sealed: Sealed, session: str, command: str) -> bytes:
        return open_sealed(self._key, sealed, session, command)

    async def mark(self, epoch: str, *parts: bytes) -> str:
        return mark(self._marks, *parts)


class Defects(logging.Handler):
    """What was logged as nobody's doing but ours: tracebacks, and anything of level error or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator["Defects"]:
        """Listen for as long as this lasts."""
        defects = cls()
        logging.getLogger().addHandler(defects)
        try:
            yield defects
        finally:
            logging.getLogger().removeHandler(defects)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(f"{record.name}: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


@dataclass
class Whole:
    """What is attacked, and what it left behind."""

    url: str
    address: tuple[str, int]
    world: World
    defects: Defects

    async def dead_letters(self) -> int:
        """How many records could not be handled."""
        return (await self.world.log.bounds(TopicPartition(topics.DEAD_LETTERS, 0)))[1]


@asynccontextmanager
async def whole(flows: Mapping[str, Sequence[PlannedStage]] | None = None) -> AsyncIterator[Whole]:
    """Run it; everything is gone at the end."""
    keys, world = Keys(), World(flows)
    world.opener = Opener(keys)
    records = SecurityLog(Records(), world.clock)
    settings = EdgeSettings(secrets=(b"s" * 32,), reply_wait_s=PATIENT_S)
    with Defects.watched() as defects:
        async with world:
            edge = Edge(world.log, FakeLogins(), FakeRevocations(), keys, settings, world.clock, {"good-token": 7}.get, partition=1)
            await edge.start()
            app = make_app([*edge.routes(), *health.routes(edge.readiness)], Limits(), records, Clients())
            listener = Listener(app, Limits(), records)
            host, port = await listener.start("127.0.0.1", 0)
            try:
                yield Whole(f"http://{host}:{port}", (host, port), world, defects)
            finally:
                await listener.stop()
                await edge.stop()
