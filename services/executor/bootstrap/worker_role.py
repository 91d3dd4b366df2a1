"""Role `worker`: sessions, orders, outbox relay, epoch keys, upkeep."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Final

from services.executor.directory.directory import SCHEMA, PostgresDirectory
from services.executor.directory.epoch_keys import EpochKeys
from services.executor.directory.events import revocations_told
from services.executor.directory.hashing import HashPool
from services.executor.directory.set_aside_rows import PostgresSetAside
from services.executor.directory.standing_ends import end_what_the_log_ended
from services.executor.directory.standing_tokens import StandingTokens
from services.executor.directory.telling import at_once
from services.executor.directory.tokens import tell_again
from services.executor.directory.told_again import revocations_again
from services.executor.directory.upkeep import Upkeep
from services.executor.sessions.asking import Asking
from services.executor.sessions.crowd import Crowd
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.owner import GROUP
from services.executor.sessions.ownership import Ownership
from services.executor.sessions.parts import Parts
from services.executor.sessions.ports import AtHome
from services.executor.sessions.retirements import Retirements
from services.executor.sessions.starts import Starts
from services.executor.sessions.staying import StayingWorker
from services.executor.sessions.worker import Worker
from services.executor.settings import Settings
from shared.contracts.topics import CATALOG_EVENTS, DEFINITIONS, KEYS, REVOCATIONS, SESSIONS, STATE, STEPS, TOKENS, TOPICS
from shared.flows.registry import registry
from shared.kernel.clock import Clock
from shared.kernel.ids import derived_bytes
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log, TopicPartition
from shared.messaging.watched import WatchedLog
from shared.postgres.log_ends import LogEnds, Remedy
from shared.postgres.pool import Database
from shared.postgres.relay import Relay
from shared.postgres.repeating import Repeating
from shared.telemetry.ages import watch_ages
from shared.telemetry.lag import watch_lag
from shared.telemetry.metrics import count_log_lost, metrics

_WATCHED: Final = tuple(name for name in TOPICS if name not in (SESSIONS, STATE, DEFINITIONS, CATALOG_EVENTS))

ENDED_S: Final = 5.0
"""For so long a start waits until it is known what the log says is over; then it follows later."""


class WorkerRole:
    """Sessions, and what the directory does for them."""

    def __init__(
        self, settings: Settings, log: Log, clock: Clock, database: Database, hashes: HashPool, secret: bytes, dead_letters: DeadLetters,
        at_home: AtHome,
    ) -> None:  # fmt: skip
        limits = settings.guess_limits
        watched = WatchedLog(log)
        tell = at_once(watched)
        self._keys = EpochKeys(database, secret, clock, settings.previous_secrets, age_s=settings.epoch_key_seconds, tell=tell)
        self._upkeep = Upkeep(database, clock, limits, settings.login_life)
        self._relay = Relay(database, watched, clock, lease_s=settings.relay_lease_seconds, word=revocations_told)
        standing = StandingTokens(database, clock)
        self._repeating = Repeating(
            database, log, TOKENS, standing.look, standing.say_again, dead_letters, clock, is_ahead=standing.is_ahead
        )  # fmt: skip
        self._database = database
        self._knows_what_ended = False
        self._log = log
        self._retirements = Retirements(log, dead_letters, clock)
        asking = Asking(log, clock)
        parts = Parts(
            log=watched, directory=PostgresDirectory(database, hashes, clock, limits, secret=derived_bytes(secret, "guesses"), tell=tell), opener=self._keys,
            cursor=Cursor(registry(), asking, asking, self._retirements), planner=asking, clock=clock, secret_key=derived_bytes(secret, "sessions"),
            starts=Starts(settings.cached_starts), crowd=Crowd(settings.unproven_sessions), set_aside=PostgresSetAside(database), elsewhere_s=settings.set_aside_elsewhere_seconds, watch=metrics, ownership=Ownership(log, lambda: False), at_home=at_home, failed=lambda *_: None,
        )  # fmt: skip
        self._worker = StayingWorker(lambda: Worker(parts, asking, dead_letters, settings.set_aside_look_seconds))
        remedies: dict[str, Remedy] = {
            STATE: self._worker.take_over_anew,
            KEYS: lambda _: self._keys.renew(force=True),
            REVOCATIONS: lambda _: revocations_again(database, clock),
            TOKENS: lambda _: tell_again(database, clock),
        }
        self._ends = LogEnds(
            database, watched, self._places, remedies, count_log_lost, settings.set_aside_look_seconds, wary=(REVOCATIONS,)
        )

    def _places(self) -> list[TopicPartition]:
        """All that executors write or are answered in; of sessions the worker itself keeps account, of states whoever holds them."""
        states = [TopicPartition(STATE, number) for topic, number in self._worker.held() if topic == STEPS]
        return [TopicPartition(name, number) for name in _WATCHED for number in range(TOPICS[name].partitions)] + states

    async def start(self) -> None:
        """Join the group."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDED_S):
                await end_what_the_log_ended(self._database, self._log)
                self._knows_what_ended = True
        await self._retirements.start()
        await self._worker.start()

    async def stop(self) -> None:
        """Leave the group, then tell the log what the directory has to say."""
        await self._worker.stop()
        await self._relay.stop()
        await self._retirements.stop()

    def chores(self) -> Mapping[str, Awaitable[None]]:
        """What runs beside it for as long as it lives."""
        late: dict[str, Awaitable[None]] = (
            {} if self._knows_what_ended else {"what ended": end_what_the_log_ended(self._database, self._log)}
        )
        return late | {
            "epoch keys": self._keys.run(),
            "upkeep": self._upkeep.run(),
            "relay": self._relay.run(),
            "tokens": self._repeating.run(),
            "log ends": self._ends.run(),
            "ages": watch_ages(self._report_ages),
            "lag": watch_lag(self._log, GROUP, self._worker.held, self._worker.mark),
            "worker": self._worker.run(),
        }

    def readiness(self) -> Mapping[str, bool]:
        """`caught_up`: partitions were given and taken over; `log`: the membership goes on; `definitions`: read to their end; `outbox`:
        nothing waits there for long; `epoch_key`: there is one to seal to that this worker can open."""
        return {
            "caught_up": self._worker.caught_up, "log": self._worker.joined, "definitions": self._retirements.ready,
            "outbox": self._relay.in_time, "epoch_key": self._keys.young,
        }  # fmt: skip

    def notes(self) -> Mapping[str, object]:
        """`set_aside`: the partitions that this worker holds and in which nothing happens until they are repaired."""
        asides = [
            {"partition": one.partition, "offset": one.offset, "reason": one.reason, "since_us": one.since_us}
            for one in self._worker.set_aside()
        ]
        return {"set_aside": asides} if asides else {}

    @property
    def failure(self) -> BaseException | None:
        """Why following the definitions ended by itself."""
        return self._retirements.failure

    def _report_ages(self) -> None:
        metrics().outbox_age(SCHEMA, self._relay.age())
        metrics().epoch_key_age("worker", self._keys.age())
